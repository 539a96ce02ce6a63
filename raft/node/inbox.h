// SPDX-License-Identifier: Apache-2.0
//
// inbox.h: all that waits for the raft thread, bounded.
//
// What the raft's own threads report (Persisted, Applied, ...) always finds room: there is
// never more of it than of the work they were given. Clients and peers do not: a publish or read
// beyond the limit is refused, a peer's message is dropped, as a network may.
// Threads: any may push; the raft thread takes.

#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "base/batch_queue.h"
#include "base/time.h"
#include "raft/core/event.h"
#include "raft/node/node.h"

namespace raft {

// A client's write that waits for its place in the log.
struct WaitingPublish {
  std::string command;
  base::TimePoint deadline;
  PublishDone done;
  EntryKind kind = EntryKind::kCommand;
  Index based_on = {};  // of a configuration: Proposal::based_on
};

// A client's wish to read.
struct WaitingRead {
  base::TimePoint deadline;
  ReadDone done;
};

using InboxItem = std::variant<Envelope, WaitingPublish, WaitingRead, Persisted, Applied, Fetched,
                               TransferLeadership, PeerLost, SnapshotArrived, SnapshotInstalled,
                               SnapshotSent, StateFlushed, LogReleased, StateLost>;

class Inbox {
 public:
  Inbox(size_t requests_max, size_t bytes_max)
      : requests_max_(requests_max), bytes_max_(bytes_max) {}

  // False if there is no room or the inbox is closed; `item` is then as it was.
  bool TryPush(WaitingPublish* item);
  bool TryPush(WaitingRead* item);
  bool TryPush(Envelope* item);

  // What this node's own parts and its server report: rare, or never more than was asked of them.
  void PushReport(InboxItem item) { queue_.Push(std::move(item)); }

  std::vector<InboxItem> TakeNow();
  void Wait(base::TimePoint until) { queue_.Wait(until); }
  void Close() { queue_.Close(); }

 private:
  // What may wait of one kind. Clients and peers have a room each: a flood of requests must not
  // shut out the heartbeats.
  struct Room {
    bool Take(size_t bytes, size_t requests_max, size_t bytes_max);
    void Free(size_t requests_freed, size_t bytes_freed);

    std::atomic<size_t> requests{0};
    std::atomic<size_t> bytes{0};
  };
  template <typename T>
  bool TryPush(T* item, size_t bytes, Room* room);

  const size_t requests_max_;
  const size_t bytes_max_;
  Room clients_;
  Room peers_;
  base::BatchQueue<InboxItem> queue_;
};

}  // namespace raft
