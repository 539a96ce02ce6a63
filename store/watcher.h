// SPDX-License-Identifier: Apache-2.0
//
// watcher.h: one who watches a range of keys, and the stream on which it hears of them.
//
// Threads: the watch thread's, but for the atomics of a stream.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "base/time.h"
#include "store/datum.h"

namespace store {

// The far end of a stream of watchers. Threads: called on the watch thread.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Queues one encoded WatchResponse and returns the bytes that wait to be sent.
  virtual size_t Send(std::string response) = 0;
  // Ends the stream at once. What is queued may be lost: a watcher goes on from what it has heard.
  virtual void End(absl::Status status) = 0;
};

struct WatchStream;

struct Watcher {
  Watcher(WatchStream* on, int64_t watch_id) : stream(on), id(watch_id) {}

  bool single() const { return range_end.empty(); }
  bool Filters(ChangeKind kind) const { return kind == ChangeKind::kPut ? no_puts : no_deletes; }

  WatchStream* const stream;
  const int64_t id;
  std::string key;
  // Empty: the one key. A single zero byte: all from `key` on, as in requests.
  std::string range_end;
  bool no_puts = false;
  bool no_deletes = false;
  bool previous = false;
  bool fragment = false;
  bool progress_notify = false;

  // Hears of changes as they are made. Otherwise it has some to catch up with.
  bool synced = true;
  // Nothing below it is wanted. Moves only while it catches up.
  int64_t next_revision = 0;
  // Where the index keeps it among those of its range.
  size_t place = 0;
  // It was sent something since the last tick of its stream's progress notifications.
  bool heard = false;
  // Events, by their place in the round under way, that it is still to be sent.
  std::vector<uint32_t> pending;
};

// Ordered, so that what is sent depends on nothing but what happened.
using WatchersById = absl::btree_map<int64_t, std::unique_ptr<Watcher>>;

struct WatchStream {
  explicit WatchStream(std::shared_ptr<WatchSink> far_end) : sink(std::move(far_end)) {}

  const std::shared_ptr<WatchSink> sink;
  // Bytes of requests on their way to the watch thread. Any thread.
  std::atomic<size_t> request_bytes{0};
  // A Drained is on its way already. Any thread.
  std::atomic<bool> drain_told{false};

  WatchersById watchers;
  int64_t next_id = 0;
  // How many of them catch up.
  size_t unsynced = 0;
  // Bytes sent and not drained, as the sink last said.
  size_t queued = 0;
  // Its watchers are sent nothing more until it has drained.
  bool full = false;
  // It is to be full once the round under way is over.
  bool filled = false;
  bool ended = false;
  // When its watchers that asked for it are next told of progress.
  base::TimePoint progress_due = base::kForever;
};

}  // namespace store
