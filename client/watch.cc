// SPDX-License-Identifier: Apache-2.0

#include "client/watch.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "client/connections.h"
#include "client/request.h"

namespace client {
namespace {

// A member without a leader ends a stream that carries it (etcd's WithRequireLeader).
constexpr char kNeedsLeader[] = "hasleader";

constexpr char kCompacted[] = "etcdserver: mvcc: required revision has been compacted";

// What another stream may mend. A server that shuts down may cancel its streams.
bool IsOfTheRoad(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) || absl::IsInternal(status) ||
         absl::IsCancelled(status);
}

}  // namespace

etcdserverpb::WatchCreateRequest WatchKey(std::string_view key) {
  etcdserverpb::WatchCreateRequest request;
  request.set_key(std::string(key));
  return request;
}

etcdserverpb::WatchCreateRequest WatchPrefix(std::string_view prefix) {
  etcdserverpb::WatchCreateRequest request;
  request.set_key(prefix.empty() ? std::string(kNoEnd) : std::string(prefix));
  request.set_range_end(prefix.empty() ? std::string(kNoEnd) : PrefixEnd(prefix));
  return request;
}

struct Watcher::Stream {
  explicit Stream(Connections* connections) : road(connections) {}

  StreamRoad road;
  std::shared_ptr<grpc::ClientContext> context;
  // Guards the pointer and writes; the one reader needs no lock to read.
  absl::Mutex mutex;
  std::unique_ptr<grpc::ClientReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>>
      calls;
};

Watcher::Watcher(const Client& client, etcdserverpb::WatchCreateRequest request)
    : stream_(std::make_unique<Stream>(client.connections_.get())), request_(std::move(request)) {
  next_revision_ = request_.start_revision();
}

Watcher::~Watcher() {
  Stop();
  if (stream_->calls != nullptr) (void)Close();
}

absl::Status Watcher::Created() {
  if (!ended_.ok()) return ended_;
  if (stream_->calls == nullptr) ended_ = Open();
  return ended_;
}

absl::StatusOr<etcdserverpb::WatchResponse> Watcher::Next() {
  while (true) {
    RETURN_IF_ERROR(Created());
    etcdserverpb::WatchResponse answer;
    if (!stream_->calls->Read(&answer)) {
      ended_ = Close();
      continue;
    }
    if (answer.canceled()) {
      ended_ = Cancelled(answer);
      continue;
    }
    if (answer.created() || !Complete(&answer)) continue;
    stream_->road.Arrived();
    Advance(answer);
    return answer;
  }
}

void Watcher::RequestProgress() {
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  absl::MutexLock lock(&stream_->mutex);
  if (stream_->calls != nullptr) stream_->calls->Write(request);
}

void Watcher::Stop() { stream_->road.Stop(); }

absl::Status Watcher::Open() {
  while (true) {
    bool again = false;
    const absl::Status opened = OpenOnce(&again);
    if (!again) return opened;
  }
}

absl::Status Watcher::OpenOnce(bool* again) {
  auto context = std::make_shared<grpc::ClientContext>();
  context->AddMetadata(kNeedsLeader, "true");
  ASSIGN_OR_RETURN(const Endpoint* endpoint, stream_->road.Next(context));
  etcdserverpb::WatchRequest request;
  *request.mutable_create_request() = request_;
  stream_->context = context;
  {
    absl::MutexLock lock(&stream_->mutex);
    stream_->calls = endpoint->watch->Watch(context.get());
    stream_->calls->Write(request);
  }
  etcdserverpb::WatchResponse created;
  if (!stream_->calls->Read(&created)) {
    const absl::Status status = Close();
    *again = status.ok();
    return status;
  }
  if (created.canceled()) return Cancelled(created);
  if (request_.start_revision() == 0) {
    // "From the next on" must mean the same on the next connection.
    request_.set_start_revision(created.header().revision() + 1);
    next_revision_ = request_.start_revision();
  }
  return absl::OkStatus();
}

absl::Status Watcher::Close() {
  stream_->context->TryCancel();
  // What a broken stream left half said is said again on the next.
  pieces_.Clear();
  has_pieces_ = false;
  // Nobody writes while it ends; a write that waits was ended by the cancel.
  absl::MutexLock lock(&stream_->mutex);
  const absl::Status status = StatusOf(stream_->calls->Finish());
  stream_->calls.reset();
  if (stream_->road.stopped()) return absl::CancelledError("stopped by the caller");
  return IsOfTheRoad(status) ? absl::OkStatus() : status;
}

absl::Status Watcher::Cancelled(const etcdserverpb::WatchResponse& answer) {
  compact_revision_ = answer.compact_revision();
  (void)Close();
  if (answer.compact_revision() > 0) return absl::OutOfRangeError(kCompacted);
  if (answer.cancel_reason() == "etcdserver: permission denied") {
    return absl::PermissionDeniedError(answer.cancel_reason());
  }
  return absl::FailedPreconditionError(answer.cancel_reason().empty()
                                           ? "the server has cancelled the watch"
                                           : answer.cancel_reason());
}

bool Watcher::Complete(etcdserverpb::WatchResponse* piece) {
  if (has_pieces_) {
    for (mvccpb::Event& event : *piece->mutable_events()) {
      *pieces_.add_events() = std::move(event);
    }
    if (piece->fragment()) return false;
    pieces_.set_fragment(false);
    piece->Swap(&pieces_);
    pieces_.Clear();
    has_pieces_ = false;
    return true;
  }
  if (!piece->fragment()) return true;
  pieces_.Swap(piece);
  has_pieces_ = true;
  return false;
}

void Watcher::Advance(const etcdserverpb::WatchResponse& answer) {
  // Without events the answer says that everything up to its revision has been sent.
  const int64_t reached = answer.events().empty()
                              ? answer.header().revision()
                              : answer.events(answer.events_size() - 1).kv().mod_revision();
  const int64_t next = std::max(request_.start_revision(), reached + 1);
  request_.set_start_revision(next);
  next_revision_ = next;
}

}  // namespace client
