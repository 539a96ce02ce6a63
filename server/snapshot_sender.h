// SPDX-License-Identifier: Apache-2.0
//
// snapshot_sender.h: gives this member's whole state to a peer whose part of the log is gone.
//
// A checkpoint (hard links) is made, its files are sent in checksummed pieces, each answered before
// the next, not faster than a rate; then the checkpoint goes. One after the other, so memory and
// disk are those of one piece and one checkpoint, however large the state.
//
// Threads: SendSnapshot and Discard from the raft thread; Run on a thread of its own until Stop.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/time.h"
#include "raft/node/ports.h"
#include "rpc/grpc_unary_caller.h"

namespace server {

// Where a peer is, and how one says there who one is.
struct PeerAddress {
  std::string address;  // "host:port"
  std::map<std::string, std::string> metadata;
};

struct SnapshotSenderOptions {
  // Checkpoints are made below it, and removed.
  std::string directory;
  // 0: as fast as it goes.
  uint64_t bytes_per_second = 128 << 20;
};

class SnapshotSender final : public raft::SnapshotTransport {
 public:
  // Makes a checkpoint of the state in a directory that does not exist yet.
  using MakeCheckpoint = std::function<absl::Status(const std::string& directory)>;
  // Errors: NotFound if there is no such member.
  using FindPeer = std::function<absl::StatusOr<PeerAddress>(raft::NodeId peer)>;
  using DiscardStaged = std::function<void(uint64_t staged)>;

  SnapshotSender(SnapshotSenderOptions options, MakeCheckpoint make_checkpoint, FindPeer find_peer,
                 DiscardStaged discard);

  void SendSnapshot(raft::NodeId peer, raft::Term term, Done done) override;
  void Discard(uint64_t staged) override { discard_(staged); }

  void Run();
  // What waits and what is under way ends with Cancelled.
  void Stop();

 private:
  struct Job {
    raft::NodeId peer;
    raft::Term term;
    Done done;
  };

  absl::StatusOr<raft::LogPosition> Send(const Job& job);
  absl::StatusOr<raft::LogPosition> SendFiles(const std::string& directory, raft::Term term,
                                              const PeerAddress& address);
  absl::Status SendFile(const std::string& path, uint64_t transfer, uint32_t file, uint64_t length);
  absl::StatusOr<std::string> Call(const std::string& method, std::string request);
  // Waits until `bytes` more may be sent. False once stopped.
  bool WaitForRate(uint64_t bytes);

  const SnapshotSenderOptions options_;
  const MakeCheckpoint make_checkpoint_;
  const FindPeer find_peer_;
  const DiscardStaged discard_;
  base::PosixFileSystem files_;
  const base::SystemClock clock_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::deque<Job> jobs_;
  std::set<raft::NodeId> busy_;  // peers in jobs_ or under way
  std::shared_ptr<rpc::UnaryCaller> caller_;

  // Of Run's thread.
  std::map<std::string, std::string> metadata_;
  uint64_t sent_bytes_ = 0;
  base::TimePoint began_;
};

}  // namespace server
