// SPDX-License-Identifier: Apache-2.0

#include "store/watch_fanout.h"

#include <utility>

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"

namespace store {
namespace {

// Events a watcher keeps room for between rounds: there may be a million watchers.
constexpr size_t kPendingKept = 16;

}  // namespace

absl::Status WatchFanout::Distribute(std::span<const ChangeBatch> batches, Wants wants,
                                     LeftOut left_out) {
  absl::Status status;
  for (const ChangeBatch& batch : batches) {
    status = Collect(batch, wants);
    if (!status.ok()) break;
  }
  for (Watcher* watcher : touched_) {
    if (watcher->stream->filled) {
      left_out(watcher, events_.revision(watcher->pending.front()));
    } else if (status.ok()) {
      status = SendPending(watcher);
    }
    watcher->pending.clear();
    if (watcher->pending.capacity() > kPendingKept) watcher->pending.shrink_to_fit();
  }
  touched_.clear();
  events_.Clear();
  return status;
}

absl::Status WatchFanout::Collect(const ChangeBatch& batch, Wants wants) {
  for (size_t i = 0; i < batch.size(); ++i) {
    const Revision revision = batch.revision(i);
    ASSIGN_OR_RETURN(const Change change, batch.Decode(i));
    uint32_t event = 0;
    bool added = false;
    index_.Match(change.key, [&](Watcher* watcher) {
      if (!wants(watcher, revision.main) || watcher->Filters(change.kind)) return;
      if (!std::exchange(added, true)) event = events_.Add(revision, change);
      if (watcher->pending.empty()) touched_.push_back(watcher);
      watcher->pending.push_back(event);
    });
  }
  return absl::OkStatus();
}

absl::Status WatchFanout::SendPending(Watcher* watcher) {
  const bool previous = watcher->previous;
  const std::vector<uint32_t>& pending = watcher->pending;
  std::string body;
  for (size_t i = 0; i < pending.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string_view event, events_.Encoded(pending[i], previous));
    body.append(event);
    const int64_t revision = events_.revision(pending[i]);
    const bool last = i + 1 == pending.size();
    const bool splits = base::Planted("watch-revision-split");
    const bool whole = last || splits || events_.revision(pending[i + 1]) != revision;
    size_t next_bytes = 0;
    if (!last && watcher->fragment) {
      ASSIGN_OR_RETURN(const std::string_view next, events_.Encoded(pending[i + 1], previous));
      next_bytes = next.size();
    }
    const bool large = body.size() + next_bytes >= response_bytes_ || (splits && i == 0);
    if (!last && !(large && (whole || watcher->fragment))) continue;
    std::string response = Head(*watcher, revision, !whole);
    response.append(body);
    body.clear();
    watcher->heard = true;
    send_(watcher->stream, std::move(response));
  }
  return absl::OkStatus();
}

std::string WatchFanout::Head(const Watcher& watcher, int64_t revision, bool more_pieces) const {
  etcdserverpb::WatchResponse head;
  fill_header_(revision, head.mutable_header());
  head.set_watch_id(watcher.id);
  head.set_fragment(more_pieces);
  std::string bytes;
  CHECK(head.SerializeToString(&bytes));
  return bytes;
}

}  // namespace store
