// SPDX-License-Identifier: Apache-2.0
//
// storage.h: all that this member has on its disk, opened, checked against who it is, and ready
// for the node.
//
// A log that is damaged is cut, and the member in doubt until it is whole again; a state that is
// lost is rebuilt from the log or a leader's. Both are durable facts before anything is changed.
// Errors: FailedPrecondition for another member's directory, DataLoss for what cannot be trusted
//         and nobody has a copy of; the text names the directory or file, and says what helps.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "raft/node/node.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/introducer.h"
#include "server/membership.h"
#include "store/kv_machine.h"
#include "store/promises.h"
#include "store/raft_log.h"

namespace server {

// Finds out who a member with this empty directory is.
// `directory`: its uuid, and whether it has heard a cluster that lives before. `heard_living` makes
// the latter last.
using Introduce = std::function<absl::StatusOr<Introduced>(
    const datum::disk::Identity& directory, const std::function<void()>& heard_living)>;

struct Storage {
  std::unique_ptr<DataDir> directory;
  base::PosixFileSystem files;
  std::unique_ptr<store::Promises> promises;
  std::unique_ptr<store::KvMachine> machine;
  std::unique_ptr<store::RaftLog> log;
  // The members of the cluster that this one founded; empty if it joined one.
  std::vector<Member> founders;
  // Where the others may be found before the log says so.
  std::map<uint64_t, PeerPlace> known;
  // What the node begins with; the node takes it.
  raft::NodeStart start;
  // One line for the log: what was found.
  std::string found;

  static absl::StatusOr<std::unique_ptr<Storage>> Open(const Config& config,
                                                       const Introduce& introduce);

  const datum::disk::Identity& identity() const { return *promises->identity(); }

  // Moves the state in that directory beside the one in use and opens it; a start still finds the
  // old one. Threads: the apply thread.
  absl::StatusOr<std::unique_ptr<store::Engine>> TakeStaged(const std::string& staged);
  // The state that was taken last is good: it is this member's, durably. Threads: the apply thread.
  void KeepTaken(raft::LogPosition position);
  // Removes the states that are not in use any more.
  void RemoveOtherStates() const { directory->RemoveOtherStates(promises->state_number()); }
  // The entry that the state in that directory stands at. Errors: what makes it no state.
  absl::StatusOr<raft::LogPosition> Inspect(const std::string& state_directory) const;

 private:
  absl::Status OpenPromises();
  absl::Status CheckIdentity(const Config& config, const Introduce& introduce);
  absl::Status BecomeKnown(const Config& config, const Introduce& introduce);
  absl::StatusOr<std::unique_ptr<store::Engine>> OpenEngine(const std::string& path) const;
  absl::Status OpenState();
  absl::Status OpenLog();
  absl::Status OnDamage(const std::string& damage);
  absl::Status CheckLogAgainstState(store::RaftLogContents* contents);
  absl::Status LoseState(const std::string& why, const store::RaftLogContents& contents);
  absl::Status BeginLogAnew(store::RaftLogContents* contents);
  std::vector<std::pair<raft::Index, raft::Configuration>> Configurations(
      const store::RaftLogContents& contents) const;
  // As far as is known before the log is read.
  raft::Configuration KnownConfiguration() const;

  Config config_;
  store::KvMachineOptions machine_options_;
  std::string state_damage_;
};

}  // namespace server
