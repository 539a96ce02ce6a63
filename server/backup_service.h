// SPDX-License-Identifier: Apache-2.0
//
// backup_service.h: Maintenance.Snapshot: the store as etcd's file, with its SHA-256 behind it.
//
// A stream is written by a thread of its own kind, which waits for its client to read; the
// transport sends a client away that does not, for what a compaction may drop is held meanwhile.
// Threads: Register before the transport starts.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/time.h"
#include "rpc/handler.h"
#include "server/gate.h"
#include "server/parts.h"

namespace server {

class BackupService {
 public:
  // Runs a job on a thread that may wait for long; false if there are too many.
  using RunLong = std::function<bool(std::function<void()>)>;

  // `spool_directory` is where a snapshot's keys are sorted.
  BackupService(const Gate* gate, const State* state, RunLong run_long, std::string spool_directory)
      : gate_(gate),
        state_(state),
        run_long_(std::move(run_long)),
        spool_directory_(std::move(spool_directory)) {}

  void Register(rpc::Registry* registry);

 private:
  class Session;
  class Flow;

  // Writes it all; the stream's last status.
  absl::Status Write(Flow* flow);

  const Gate* const gate_;
  const State* const state_;
  const RunLong run_long_;
  const std::string spool_directory_;
  base::PosixFileSystem files_;
};

}  // namespace server
