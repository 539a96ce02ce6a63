// SPDX-License-Identifier: Apache-2.0

#include "store/watch_catchup.h"

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/errors.h"

namespace store {

absl::Status WatchCatchup::Step(int64_t live_revision) {
  auto first = waiting_.lower_bound({served_through_ + 1, nullptr});
  if (first == waiting_.end()) first = waiting_.begin();
  const int64_t from = first->first;
  CHECK_LE(from, live_revision);
  const absl::StatusOr<ChangeBatch> batch = reader_->ReadChanges(from, live_revision, part_bytes_);
  if (!batch.ok()) {
    if (ErrorOf(batch.status()) != Error::kCompacted) return batch.status();
    if (CancelCompacted()) return absl::OkStatus();
    return absl::InternalError("changes are compacted that no compaction has passed");
  }
  const int64_t through = batch->through();
  CHECK_GE(through, from);
  served_through_ = through;
  std::vector<Watcher*> left;
  const absl::Status sent = fanout_->Distribute(
      {&*batch, 1},
      [&](Watcher* watcher, int64_t revision) {
        // Those on full streams do not wait here, and stay where they are.
        return !watcher->synced && !watcher->stream->full && watcher->next_revision >= from &&
               watcher->next_revision <= revision;
      },
      [&](Watcher* watcher, int64_t revision) {
        Remove(watcher);
        watcher->next_revision = revision;
        left.push_back(watcher);
      });
  RETURN_IF_ERROR(sent);
  MoveOn(from, through, live_revision);
  for (Watcher* watcher : left) Add(watcher);
  return absl::OkStatus();
}

void WatchCatchup::MoveOn(int64_t from, int64_t through, int64_t live_revision) {
  std::vector<Watcher*> moved;
  const auto begin = waiting_.lower_bound({from, nullptr});
  const auto end = waiting_.lower_bound({through + 1, nullptr});
  for (auto at = begin; at != end; ++at) moved.push_back(at->second);
  waiting_.erase(begin, end);
  for (Watcher* watcher : moved) {
    watcher->next_revision = through + 1;
    if (base::Planted("watch-event-dropped-at-switch") && through == live_revision) {
      ++watcher->next_revision;
    }
    if (base::Planted("watch-event-twice") && through != live_revision) --watcher->next_revision;
    if (through >= live_revision) {
      watcher->synced = true;
      --watcher->stream->unsynced;
    } else {
      Add(watcher);
    }
  }
}

bool WatchCatchup::CancelCompacted() {
  const int64_t compact_revision = reader_->compact_revision();
  bool any = false;
  while (!waiting_.empty() && waiting_.begin()->first < compact_revision) {
    on_compacted_(waiting_.begin()->second, compact_revision);
    any = true;
  }
  return any;
}

}  // namespace store
