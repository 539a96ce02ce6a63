// SPDX-License-Identifier: Apache-2.0

#include "store/watch_hub.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/errors.h"
#include "store/keys.h"

namespace store {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;

// What a request takes in memory besides its bytes, about.
constexpr size_t kRequestOverhead = 256;
// Of a stream as a whole (etcd-api 1.5).
constexpr int64_t kNoWatchId = -1;

}  // namespace

WatchHub::WatchHub(const WatchHubOptions& options, const ChangeReader* reader, RaftTerm raft_term)
    : options_(options),
      reader_(reader),
      raft_term_(std::move(raft_term)),
      random_(options.random_seed),
      fanout_(
          reader, options.response_bytes,
          [this](int64_t revision, etcdserverpb::ResponseHeader* header) {
            FillHeader(revision, header);
          },
          [this](WatchStream* stream, std::string response) {
            SendEvents(stream, std::move(response));
          }),
      catchup_(reader, &fanout_, options.part_bytes,
               [this](Watcher* watcher, int64_t compact_revision) {
                 WatchResponse gone;
                 gone.set_watch_id(watcher->id);
                 gone.set_canceled(true);
                 gone.set_compact_revision(compact_revision);
                 WatchStream* const stream = watcher->stream;
                 Remove(watcher);
                 FillHeader(0, gone.mutable_header());
                 SendControl(stream, std::move(gone));
               }),
      live_revision_(reader->revision()) {}

std::shared_ptr<WatchStream> WatchHub::Open(std::shared_ptr<WatchSink> sink) {
  // Before the first watcher reads the revision at which it begins: what is applied from here on
  // comes to the inbox.
  open_streams_.fetch_add(1);
  return std::make_shared<WatchStream>(std::move(sink));
}

absl::Status WatchHub::Request(const std::shared_ptr<WatchStream>& stream, WatchRequest request) {
  const size_t bytes = request.ByteSizeLong() + kRequestOverhead;
  const size_t of_stream = stream->request_bytes.fetch_add(bytes) + bytes;
  const size_t of_all = request_bytes_.fetch_add(bytes) + bytes;
  if (of_stream > options_.stream_request_bytes_max || of_all > options_.request_bytes_max) {
    stream->request_bytes.fetch_sub(bytes);
    request_bytes_.fetch_sub(bytes);
    return absl::ResourceExhaustedError("datum: too many requests wait on the watch stream");
  }
  Item item;
  item.kind = Item::Kind::kRequest;
  item.stream = stream;
  item.request = std::make_unique<WatchRequest>(std::move(request));
  inbox_.Push(std::move(item));
  return absl::OkStatus();
}

void WatchHub::Drained(const std::shared_ptr<WatchStream>& stream) {
  if (stream->drain_told.exchange(true)) return;
  Item item;
  item.kind = Item::Kind::kDrained;
  item.stream = stream;
  inbox_.Push(std::move(item));
}

void WatchHub::Close(const std::shared_ptr<WatchStream>& stream) {
  Item item;
  item.kind = Item::Kind::kClosed;
  item.stream = stream;
  inbox_.Push(std::move(item));
}

void WatchHub::EndAll(absl::Status why) {
  Item item;
  item.kind = Item::Kind::kEndAll;
  item.why = std::move(why);
  inbox_.Push(std::move(item));
}

void WatchHub::OnChanges(ChangeBatch batch) {
  Item item;
  const size_t bytes = batch.bytes();
  if (change_bytes_.fetch_add(bytes) + bytes > options_.change_bytes_max) {
    change_bytes_.fetch_sub(bytes);
    batch = ChangeBatch(batch.through());
    change_bytes_.fetch_add(batch.bytes());
  }
  item.changes = std::move(batch);
  inbox_.Push(std::move(item));
}

void WatchHub::OnInstall(int64_t revision_before, int64_t revision) {
  Item item;
  item.kind = Item::Kind::kInstalled;
  item.revision = revision;
  item.went_back = revision < revision_before;
  inbox_.Push(std::move(item));
}

bool WatchHub::Turn(base::TimePoint now) {
  std::vector<ChangeBatch> batches;
  for (Item& item : inbox_.TakeNow()) {
    if (item.kind == Item::Kind::kChanges) {
      change_bytes_.fetch_sub(item.changes.bytes());
      batches.push_back(std::move(item.changes));
      continue;
    }
    Live(std::exchange(batches, {}));
    Handle(&item, now);
  }
  Live(std::move(batches));
  CatchUp();
  NotifyProgress(now);
  return !catchup_.idle();
}

void WatchHub::Handle(Item* item, base::TimePoint now) {
  WatchStream* const stream = item->stream.get();
  switch (item->kind) {
    case Item::Kind::kChanges:
      break;
    case Item::Kind::kRequest: {
      const size_t bytes = item->request->ByteSizeLong() + kRequestOverhead;
      stream->request_bytes.fetch_sub(bytes);
      request_bytes_.fetch_sub(bytes);
      if (stream->ended) break;
      streams_.insert(item->stream);
      Serve(stream, *item->request, now);
      break;
    }
    case Item::Kind::kDrained:
      stream->drain_told.store(false);
      Count(stream, 0);
      SetFull(stream, false);
      break;
    case Item::Kind::kClosed:
      End(stream, absl::OkStatus());
      streams_.erase(item->stream);
      open_streams_.fetch_sub(1);
      break;
    case Item::Kind::kEndAll:
      EndEach(item->why);
      break;
    case Item::Kind::kInstalled:
      if (item->went_back) {
        EndEach(absl::UnavailableError("datum: this member's state was lost; watch another's"));
        live_revision_ = item->revision;
      }
      SkipTo(item->revision);
      break;
  }
}

void WatchHub::Live(std::vector<ChangeBatch> batches) {
  std::vector<ChangeBatch> round;
  size_t round_bytes = 0;
  const auto wants = [&](Watcher* watcher, int64_t revision) {
    if (!watcher->synced || watcher->next_revision > revision) return false;
    if (!watcher->stream->full) return true;
    FallBack(watcher, revision);
    return false;
  };
  const auto left_out = [&](Watcher* watcher, int64_t revision) { FallBack(watcher, revision); };
  const auto send = [&] {
    if (round.empty()) return;
    const int64_t through = round.back().through();
    const absl::Status sent = fanout_.Distribute(round, wants, left_out);
    round.clear();
    round_bytes = 0;
    live_revision_ = through;
    if (!sent.ok()) EndEach(absl::UnavailableError(sent.message()));
    SettleFull();
  };
  for (ChangeBatch& batch : batches) {
    // Each of very many streams may be sent as much before it is found to be full.
    if (round_bytes >= options_.part_bytes) send();
    const int64_t passed = round.empty() ? live_revision_ : round.back().through();
    // A state that was installed, or a watcher that came when there was none, has passed it.
    if (batch.through() <= passed) continue;
    if (batch.after() > passed) {
      send();
      SkipTo(batch.after());
      if (batch.through() <= live_revision_) continue;
    }
    round_bytes += batch.bytes();
    round.push_back(std::move(batch));
  }
  send();
}

void WatchHub::SkipTo(int64_t revision) {
  if (revision <= live_revision_) return;
  const int64_t next = live_revision_ + 1;
  live_revision_ = revision;
  for (const auto& stream : streams_) {
    for (const auto& [id, watcher] : stream->watchers) {
      if (!watcher->synced || watcher->next_revision > revision) continue;
      FallBack(watcher.get(), std::max(watcher->next_revision, next));
    }
  }
}

void WatchHub::CatchUp() {
  if (catchup_.idle()) return;
  const absl::Status served = catchup_.Step(live_revision_);
  // It is this member that cannot read on: elsewhere they can.
  if (!served.ok()) EndEach(absl::UnavailableError(served.message()));
  SettleFull();
}

void WatchHub::Serve(WatchStream* stream, const WatchRequest& request, base::TimePoint now) {
  switch (request.request_union_case()) {
    case WatchRequest::kCreateRequest:
      return Create(stream, request.create_request(), now);
    case WatchRequest::kCancelRequest:
      return Cancel(stream, request.cancel_request().watch_id());
    case WatchRequest::kProgressRequest:
      return TellProgress(stream);
    case WatchRequest::REQUEST_UNION_NOT_SET:
      return;
  }
}

std::string WatchHub::Refusal(const WatchStream& stream, const WatchCreateRequest& request) const {
  if (request.start_revision() < 0) {
    return std::string(ErrorStatus(Error::kCompacted).message());
  }
  const std::string& end = request.range_end();
  const bool open_end = end.size() == 1 && end[0] == '\0';
  if (!end.empty() && !open_end && request.key() >= end) return "mvcc: watcher range is empty";
  if (request.watch_id() != 0 && stream.watchers.contains(request.watch_id())) {
    return "mvcc: duplicate watch ID provided on the WatchStream";
  }
  if (watchers() >= options_.watchers_max) {
    return absl::StrCat("datum: this member has ", options_.watchers_max,
                        " watchers, which is as many as it takes (--max-watchers)");
  }
  return "";
}

void WatchHub::Create(WatchStream* stream, const WatchCreateRequest& request, base::TimePoint now) {
  WatchResponse created;
  created.set_created(true);
  // Whoever is the first here need not hear of what was applied when there was nobody.
  const int64_t newest = reader_->revision();
  if (watchers() == 0) live_revision_ = std::max(live_revision_, newest);
  FillHeader(newest, created.mutable_header());
  const std::string refusal = Refusal(*stream, request);
  if (!refusal.empty()) {
    created.set_watch_id(kNoWatchId);
    created.set_canceled(true);
    created.set_cancel_reason(refusal);
    return SendControl(stream, std::move(created));
  }
  int64_t id = request.watch_id();
  if (id == 0) {
    while (stream->watchers.contains(stream->next_id)) ++stream->next_id;
    id = stream->next_id++;
  }
  auto watcher = std::make_unique<Watcher>(stream, id);
  watcher->key = request.key().empty() ? std::string(1, '\0') : request.key();
  watcher->range_end = request.range_end();
  for (const int filter : request.filters()) {
    watcher->no_puts |= filter == WatchCreateRequest::NOPUT;
    watcher->no_deletes |= filter == WatchCreateRequest::NODELETE;
  }
  watcher->previous = request.prev_kv();
  watcher->fragment = request.fragment();
  watcher->progress_notify = request.progress_notify();
  watcher->next_revision = request.start_revision() == 0 ? newest + 1 : request.start_revision();
  if (watcher->progress_notify && stream->progress_due == base::kForever) ArmProgress(stream, now);
  created.set_watch_id(id);
  SendControl(stream, std::move(created));
  if (stream->ended) return;
  Watcher* const added = watcher.get();
  stream->watchers.emplace(id, std::move(watcher));
  watchers_.fetch_add(1, std::memory_order_relaxed);
  fanout_.index().Add(added);
  if (added->next_revision <= live_revision_) FallBack(added, added->next_revision);
}

void WatchHub::Cancel(WatchStream* stream, int64_t watch_id) {
  const auto found = stream->watchers.find(watch_id);
  if (found == stream->watchers.end()) return;
  Remove(found->second.get());
  WatchResponse gone;
  FillHeader(reader_->revision(), gone.mutable_header());
  gone.set_watch_id(watch_id);
  gone.set_canceled(true);
  SendControl(stream, std::move(gone));
}

void WatchHub::TellProgress(WatchStream* stream) {
  // Only what holds for all of its watchers can be said (etcd-api 1.5).
  if (stream->watchers.empty() || stream->unsynced > 0) return;
  for (const auto& [id, watcher] : stream->watchers) {
    if (watcher->next_revision > live_revision_ + 1) return;
  }
  WatchResponse progress;
  const bool ahead = base::Planted("watch-progress-ahead");
  FillHeader(ahead ? reader_->revision() + 1 : live_revision_, progress.mutable_header());
  progress.set_watch_id(kNoWatchId);
  SendControl(stream, std::move(progress));
}

void WatchHub::NotifyProgress(base::TimePoint now) {
  while (!progress_.empty() && progress_.begin()->first <= now) {
    WatchStream* const stream = progress_.begin()->second;
    progress_.erase(progress_.begin());
    for (const auto& [id, watcher] : stream->watchers) {
      if (!watcher->progress_notify) continue;
      const bool can = watcher->synced && watcher->next_revision <= live_revision_ + 1;
      if (std::exchange(watcher->heard, false) || !can || stream->full) continue;
      WatchResponse progress;
      FillHeader(live_revision_, progress.mutable_header());
      progress.set_watch_id(id);
      Count(stream, stream->sink->Send(progress.SerializeAsString()));
    }
    ArmProgress(stream, now);
  }
  next_due_ = progress_.empty() ? base::kForever : progress_.begin()->first;
}

void WatchHub::ArmProgress(WatchStream* stream, base::TimePoint now) {
  const auto jitter = random_.Below(static_cast<uint64_t>(options_.progress_interval.count()) / 10);
  stream->progress_due = now + options_.progress_interval + base::Duration(jitter);
  progress_.emplace(stream->progress_due, stream);
  next_due_ = progress_.begin()->first;
}

void WatchHub::SendEvents(WatchStream* stream, std::string response) {
  if (stream->ended) return;
  Count(stream, stream->sink->Send(std::move(response)));
  const bool scarce = sent_bytes_ > options_.sent_bytes_max;
  const size_t bytes_max = scarce ? options_.stream_bytes_min : options_.stream_bytes_max;
  // A watcher that has heard of part of a round hears of the rest; the others of the stream wait.
  if (stream->queued > bytes_max && !std::exchange(stream->filled, true)) {
    filled_.push_back(stream);
  }
}

void WatchHub::SettleFull() {
  for (WatchStream* stream : std::exchange(filled_, {})) {
    stream->filled = false;
    if (!stream->ended) SetFull(stream, true);
  }
}

// Control responses may go beyond the bound for events, but not for ever.
void WatchHub::SendControl(WatchStream* stream, WatchResponse response) {
  if (stream->ended) return;
  Count(stream, stream->sink->Send(response.SerializeAsString()));
  if (stream->queued <= 2 * options_.stream_bytes_max) return;
  End(stream, absl::ResourceExhaustedError("datum: the client does not read its watch stream"));
}

void WatchHub::Count(WatchStream* stream, size_t queued) {
  sent_bytes_ += queued;
  sent_bytes_ -= stream->queued;
  stream->queued = queued;
}

void WatchHub::SetFull(WatchStream* stream, bool full) {
  if (stream->full == full) return;
  stream->full = full;
  if (stream->unsynced == 0) return;
  for (const auto& [id, watcher] : stream->watchers) {
    if (watcher->synced) continue;
    if (full) {
      catchup_.Remove(watcher.get());
    } else {
      catchup_.Add(watcher.get());
    }
  }
}

void WatchHub::FallBack(Watcher* watcher, int64_t next_revision) {
  CHECK(watcher->synced);
  watcher->synced = false;
  watcher->next_revision = next_revision;
  ++watcher->stream->unsynced;
  if (!watcher->stream->full) catchup_.Add(watcher);
}

void WatchHub::Remove(Watcher* watcher) {
  WatchStream* const stream = watcher->stream;
  fanout_.index().Remove(watcher);
  if (!watcher->synced) {
    --stream->unsynced;
    if (!stream->full) catchup_.Remove(watcher);
  }
  watchers_.fetch_sub(1, std::memory_order_relaxed);
  stream->watchers.erase(watcher->id);
}

void WatchHub::End(WatchStream* stream, const absl::Status& why) {
  if (std::exchange(stream->ended, true)) return;
  while (!stream->watchers.empty()) Remove(stream->watchers.begin()->second.get());
  if (stream->progress_due != base::kForever) progress_.erase({stream->progress_due, stream});
  Count(stream, 0);
  stream->sink->End(why);
}

void WatchHub::EndEach(const absl::Status& why) {
  for (const auto& stream : streams_) End(stream.get(), why);
}

void WatchHub::FillHeader(int64_t revision, etcdserverpb::ResponseHeader* header) const {
  header->set_cluster_id(options_.cluster_id);
  header->set_member_id(options_.member_id);
  header->set_revision(revision);
  header->set_raft_term(raft_term_());
}

}  // namespace store
