// SPDX-License-Identifier: Apache-2.0
//
// snapshot_receiver.h: takes another member's whole state, beside the one in use.
//
// A transfer is staged in <data-dir>/incoming, verified to the last byte, synced, opened once to
// see that it is a state and which entry it stands at, and only then told to the node, which says
// whether it is wanted. One at a time; a new one takes the place of one that is over for
// its sender, or has gone silent.
//
// Threads: the handlers run on Run's thread, one at a time; Discard and Take from any.
// Errors:  what is wrong with a transfer is answered to its sender; nothing of it stays.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/time.h"
#include "raft/core/event.h"
#include "rpc/handler.h"
#include "store/snapshot_files.h"

namespace server {

class SnapshotReceiver {
 public:
  // Opens a staged state and says where it stands. Errors: what makes it no state.
  using Inspect = std::function<absl::StatusOr<raft::LogPosition>(const std::string& directory)>;
  using Arrived = std::function<void(raft::SnapshotArrived)>;
  // Whether the sender may send here.
  using CheckSender = std::function<absl::Status(const rpc::Call& call)>;

  // Removes what an earlier life left in `directory`.
  SnapshotReceiver(std::string directory, const base::Clock* clock, CheckSender check,
                   Inspect inspect, Arrived arrived);

  void Register(rpc::Registry* registry);

  void Run();
  void Stop();

  // The directory of a staged state that is to be installed; the caller moves it away.
  // Errors: NotFound if it is no more.
  absl::StatusOr<std::string> Take(uint64_t staged);
  // Nobody wants it. Never blocks.
  void Discard(uint64_t staged);

 private:
  struct Transfer {
    uint64_t number = 0;
    uint64_t leader_term = 0;
    std::unique_ptr<store::SnapshotStaging> staging;
    base::TimePoint last_heard;
    bool complete = false;
  };
  using Job = std::function<void()>;

  void Handle(rpc::Registry* registry, const std::string& method,
              absl::StatusOr<std::string> (SnapshotReceiver::*handler)(const std::string&));
  absl::StatusOr<std::string> Begin(const std::string& request);
  absl::StatusOr<std::string> Piece(const std::string& request);
  absl::StatusOr<std::string> End(const std::string& request);
  absl::StatusOr<Transfer*> Find(uint64_t number);
  void Abandon();

  const std::string directory_;
  const std::string taken_;
  const CheckSender check_;
  const Inspect inspect_;
  const Arrived arrived_;
  const base::Clock* const clock_;
  base::PosixFileSystem files_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::deque<Job> jobs_;

  std::mutex transfer_mutex_;
  std::optional<Transfer> transfer_;
  uint64_t next_number_;
};

}  // namespace server
