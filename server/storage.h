// SPDX-License-Identifier: Apache-2.0
//
// storage.h: all that this member has on its disk, opened, checked against who it is, and ready
// for the node.
//
// Errors: FailedPrecondition for another member's directory, DataLoss for what cannot be trusted;
//         the text names the directory or file.

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "raft/node/node.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "store/kv_machine.h"
#include "store/promises.h"
#include "store/raft_log.h"

namespace server {

struct Storage {
  std::unique_ptr<DataDir> directory;
  base::PosixFileSystem files;
  std::unique_ptr<store::Promises> promises;
  std::unique_ptr<store::KvMachine> machine;
  std::unique_ptr<store::RaftLog> log;
  // What the node begins with; the node takes it.
  raft::NodeStart start;
  // One line for the log: what was found.
  std::string found;

  // Members of a new cluster get their identity here.
  static absl::StatusOr<std::unique_ptr<Storage>> Open(const Config& config,
                                                       const InitialCluster& cluster);

 private:
  absl::Status CheckIdentity(const Config& config, const InitialCluster& cluster);
  absl::Status OpenState(const Config& config, const InitialCluster& cluster);
  absl::Status OpenLog();
  void BeginLogAnew(store::RaftLogContents* contents);
};

}  // namespace server
