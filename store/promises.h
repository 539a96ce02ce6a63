// SPDX-License-Identifier: Apache-2.0
//
// promises.h: what this member has promised: term and votedFor, and who it is.
//
// Held in meta/ as proto/disk.proto. Each is durable before it is relied upon.
// Threads: SaveHardState and LogSettled from the log thread; SaveTakenState from the apply thread;
//          the rest at init, where it says nothing else.

#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/statusor.h"
#include "proto/disk.pb.h"
#include "raft/core/types.h"
#include "raft/node/ports.h"
#include "store/meta_store.h"

namespace store {

class Promises final : public raft::PromiseStore {
 public:
  // Reads what is in `meta`.
  // Errors: DataLoss if a record cannot be read or understood.
  static absl::StatusOr<std::unique_ptr<Promises>> Load(std::unique_ptr<MetaStore> meta);

  // As loaded, or as saved last. Term 0 and no vote for a new member.
  const raft::HardState& hard_state() const { return hard_state_; }
  void SaveHardState(const raft::HardState& hard_state) override;
  // Enters `term`, without a vote, if a later one is not known. A snapshot may have brought a state
  // of a term that this member had not written yet when it ended.
  void RaiseTerm(raft::Term term);

  // Nothing until SaveIdentity was called once in this directory's life.
  const std::optional<datum::disk::Identity>& identity() const { return identity_; }
  void SaveIdentity(const datum::disk::Identity& identity);

  // Raises the boot count by one, durably, and returns it: 1 at the first start.
  // At least `first`, if this is the first; above what this directory has forgotten.
  uint64_t CountBoot(uint64_t first = 1);

  // How often this directory was started before.
  uint64_t boots() const { return boots_; }

  // A copy of the newest configuration applied. Threads: one.
  const datum::disk::NewestConfiguration& configuration() const { return configuration_; }
  void SaveConfiguration(const datum::disk::NewestConfiguration& configuration);

  // Which state-N directory holds the state; 1 for a new member.
  uint64_t state_number() const { return state_.state_number(); }
  // Another member's state, which stands at `position`, is this one's from here on, under that
  // number. The log may not know of it yet.
  void SaveTakenState(uint64_t number, raft::LogPosition position);
  // A state was taken at that position and the log was not settled since: should it not hold the
  // position, then because this member ended before it could begin anew. Nothing was lost.
  bool LogUnsettledAt(raft::LogPosition position) const;
  void LogSettled(raft::LogPosition position) override;
  // At a start, once log and state agree, whatever was taken.
  void LogSettled();

 private:
  explicit Promises(std::unique_ptr<MetaStore> meta) : meta_(std::move(meta)) {}
  // Requires: state_mutex_ is held.
  bool TookAt(raft::LogPosition position) const;
  void ForgetTaken();
  absl::Status LoadRecord(const char* name, google::protobuf::MessageLite* record, bool* found);

  const std::unique_ptr<MetaStore> meta_;
  raft::HardState hard_state_;
  std::optional<datum::disk::Identity> identity_;
  datum::disk::NewestConfiguration configuration_;
  uint64_t boots_ = 0;
  mutable std::mutex state_mutex_;
  // Written under state_mutex_.
  datum::disk::CurrentState state_;
};

}  // namespace store
