// SPDX-License-Identifier: Apache-2.0
//
// watch_catchup.h: watchers that have some to catch up with, served from the `revision` family.
//
// One read serves all who stand in the part that was read. Reads go round by revision, one part
// each, so that one who is far behind holds nobody up; a part is bounded in bytes.
// Threads: the watch thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "store/change_batch.h"
#include "store/watch_fanout.h"
#include "store/watcher.h"

namespace store {

class WatchCatchup {
 public:
  // Called for one whose next revision is compacted; it must Remove it.
  using OnCompacted = std::function<void(Watcher*, int64_t compact_revision)>;

  WatchCatchup(const ChangeReader* reader, WatchFanout* fanout, size_t part_bytes,
               OnCompacted on_compacted)
      : reader_(reader),
        fanout_(fanout),
        part_bytes_(part_bytes),
        on_compacted_(std::move(on_compacted)) {}

  // The watcher wants what begins at its next_revision.
  void Add(Watcher* watcher) { waiting_.emplace(watcher->next_revision, watcher); }
  void Remove(Watcher* watcher) { waiting_.erase({watcher->next_revision, watcher}); }
  bool idle() const { return waiting_.empty(); }

  // Serves one part. A watcher that has all up to `live_revision` is synced and no longer here.
  // Requires: !idle().
  // Errors: as the reads and WatchFanout::Distribute.
  absl::Status Step(int64_t live_revision);

 private:
  // By the next revision, then in any order.
  using Waiting = std::set<std::pair<int64_t, Watcher*>>;

  bool CancelCompacted();
  // Those who stand in [from, through] stand behind it.
  void MoveOn(int64_t from, int64_t through, int64_t live_revision);

  const ChangeReader* const reader_;
  WatchFanout* const fanout_;
  const size_t part_bytes_;
  const OnCompacted on_compacted_;
  Waiting waiting_;
  // Where the last part ended.
  int64_t served_through_ = 0;
};

}  // namespace store
