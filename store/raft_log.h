// SPDX-License-Identifier: Apache-2.0
//
// raft_log.h: the replicated log on disk, the only write-ahead log there is.
//
// A chain of append-only segment files (raft_log_format.h). An entry that replaces another is
// written behind it like any other: what comes later in the file wins, so nothing is ever
// rewritten in place and a crash leaves the old tail or the new one.
//
// Threads: Append, Sync, Release, Restart: log thread. Read: any. PrepareSegment: any one thread.
// Errors:  a write or sync that the disk refuses ends the process (DESIGN.md, rule 5).

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/random.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "raft/node/ports.h"
#include "store/raft_log_map.h"

namespace store {

struct RaftLogOptions {
  std::string directory;
  // A segment is zero-filled to this size ahead of use: overwriting zeroed blocks syncs in half
  // the time of growing a file. A batch larger than that gets a segment of its own size.
  uint64_t segment_bytes = 64 << 20;
  // Release leaves at least so much of the log for followers that lag.
  uint64_t log_reserve_bytes = 256 << 20;
  // Entries behind this index are kept in memory by Open, for the node's start.
  raft::Index keep_after;
  // A log was begun here before: if there is none, it was lost, which is damage.
  bool must_exist = false;
  uint64_t random_seed = 0;
  // Called with what is damaged before anything is cut: the caller notes durably that this member
  // may have lost what it promised. An error ends Open with it, and nothing is changed. Without
  // the function Open refuses damage.
  std::function<absl::Status(const std::string& damage)> on_damage;
  // Called with what the disk said before the process ends of it; the simulator does not return.
  std::function<void(const absl::Status&)> on_refusal;
};

// What Open found.
struct RaftLogContents {
  // The log begins behind this place; 0/0 if nothing was ever dropped from its front.
  raft::LogPosition base;
  // The terms of the log as runs: (term, first index), ascending.
  std::vector<raft::LogPosition> term_runs;
  raft::Index last_index;
  // The entries behind RaftLogOptions::keep_after.
  std::vector<raft::EntryRef> tail;
  // All configurations in the log, by the index of their entry, ascending.
  std::vector<std::pair<raft::Index, raft::Configuration>> configurations;
  // Bytes of an unfinished write that were cut from the end.
  uint64_t torn_bytes = 0;
  // File, offset and what was wrong; the log was cut there, and what was cut lies beside it as
  // `damaged-<n>`. Empty: nothing was.
  std::string damage;
};

class RaftLog final : public raft::LogStore {
 public:
  // Opens the log in `options.directory`, begun if there is none, and reads all of it. What was
  // being written when a crash came is cut, and so is everything behind damage, once on_damage
  // has taken note. Everything that stays is durable when it returns.
  // The base may be one that the state has not reached, or has another term than the state's
  // entry there, if the log was damaged: the caller then restarts it behind the state.
  // Errors: DataLoss for damage without on_damage; else what on_damage or the disk says.
  static absl::StatusOr<std::unique_ptr<RaftLog>> Open(base::FileSystem* files,
                                                       const RaftLogOptions& options,
                                                       RaftLogContents* contents);

  void Append(std::span<const raft::EntryRef> entries) override;
  void Sync() override;
  absl::StatusOr<std::vector<raft::EntryRef>> Read(raft::Index from, size_t bytes_max) override;

  // Removes the segments that come before; damage in them no longer matters.
  void Restart(raft::LogPosition base) override;
  // Lets go of the first segments that hold no entry behind `through`; log_reserve_bytes stay.
  raft::LogPosition Release(raft::Index through) override;

  // Makes the file that the log will go on in when the current one is full, unless it is there.
  // Without it Append makes a file that grows as it is written; so an error here (a full disk, say)
  // is no reason to end, and it is not tried again before the next segment is begun.
  absl::Status PrepareSegment();

 private:
  RaftLog(base::FileSystem* files, const RaftLogOptions& options)
      : files_(files), options_(options), random_(options.random_seed) {}

  absl::Status Load(RaftLogContents* contents);
  absl::StatusOr<std::string> ReadBatch(const RaftLogSegment& segment, uint64_t offset) const;
  // Adds what the batches from `place` on have from `*from` on. False once `bytes_max` is reached.
  absl::StatusOr<bool> ReadPlace(const RaftLogMap::Place& place, size_t bytes_max,
                                 raft::Index* from, size_t* bytes,
                                 std::vector<raft::EntryRef>* entries) const;
  absl::Status MakeSpare();
  void StartSegment(raft::LogPosition base, bool anew);
  void RemoveSegment(const RaftLogSegment& segment);
  std::string SegmentPath(uint64_t sequence) const;
  // The durability path has no second try.
  void OrDie(const absl::Status& status) const;

  base::FileSystem* const files_;
  const RaftLogOptions options_;
  base::Random random_;

  // Guards what Read shares with the log thread, the only one that changes it.
  mutable std::mutex mutex_;
  RaftLogMap map_;

  // Owned by the log thread.
  uint64_t next_batch_ = 1;  // number
  uint64_t next_sequence_ = 1;
  bool unsynced_ = false;

  std::mutex spare_mutex_;
  bool spare_ready_ = false;
  bool spare_refused_ = false;
};

}  // namespace store
