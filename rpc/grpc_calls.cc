// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_calls.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "rpc/grpc_bytes.h"

namespace rpc {
namespace {

// Next to what its call takes, an answer up to this size is nothing.
constexpr size_t kSmallAnswerBytes = 4 << 10;

using Context = grpc::GenericCallbackServerContext;

std::optional<std::string> FindMetadata(const Context& context, std::string_view name) {
  const auto& all = context.client_metadata();
  const auto found = all.find(grpc::string_ref(name.data(), name.size()));
  if (found == all.end()) return std::nullopt;
  return std::string(found->second.data(), found->second.size());
}

// gRPC's deadline is on the calendar's line, ours is monotonic: carried over by what is left.
base::TimePoint DeadlineOf(const Context& context, const base::Clock& clock) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return base::kForever;
  const auto left = deadline - std::chrono::system_clock::now();
  if (left > std::chrono::hours(24 * 365)) return base::kForever;
  return clock.Now() + std::chrono::duration_cast<base::Duration>(left);
}

class UnaryReactor final : public grpc::ServerGenericBidiReactor, public Call {
 public:
  UnaryReactor(Context* context, const UnaryHandler* handler, const base::Clock& clock,
               UnreadWrites* unread)
      : context_(context),
        handler_(handler),
        unread_(*unread),
        deadline_(DeadlineOf(*context, clock)) {
    StartRead(&request_);
  }

  std::optional<std::string> Metadata(std::string_view name) const override {
    return FindMetadata(*context_, name);
  }
  base::TimePoint deadline() const override { return deadline_; }
  std::string peer() const override { return context_->peer(); }
  bool cancelled() const override { return cancelled_; }
  void WhenCancelled(std::function<void()> on_cancel) const override {
    {
      std::lock_guard lock(mutex_);
      if (!cancelled_) {
        on_cancel_ = std::move(on_cancel);
        return;
      }
    }
    on_cancel();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status(grpc::StatusCode::INTERNAL, "the call brought no request"));
      return;
    }
    std::string bytes = BytesOf(request_);
    request_.Clear();
    (*handler_)(*this, std::move(bytes), [this](absl::Status status, rpc::Answer response) {
      End(status, std::move(response));
    });
  }

  void End(const absl::Status& status, rpc::Answer response) {
    if (!status.ok()) {
      Finish(GrpcStatus(status));
      return;
    }
    const bool holds = response.held() != nullptr;
    response_ = BufferOf(std::move(response));
    small_ = !holds && response_.Length() <= kSmallAnswerBytes;
    if (!small_ || unread_.BeginSmall()) {
      ticket_ = unread_.Begin(std::make_shared<CancellableCall>(context_->c_call()),
                              response_.Length(), unread_.patience());
    }
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void OnCancel() override {
    std::function<void()> on_cancel;
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      on_cancel = std::move(on_cancel_);
    }
    if (on_cancel) on_cancel();
  }
  void OnDone() override {
    if (small_) unread_.EndSmall();
    if (ticket_) unread_.End(*ticket_);
    delete this;
  }

  Context* const context_;
  const UnaryHandler* const handler_;
  UnreadWrites& unread_;
  std::optional<UnreadWrites::Ticket> ticket_;
  // The answer is counted as a small one.
  bool small_ = false;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  mutable std::function<void()> on_cancel_;
  const base::TimePoint deadline_;
  std::atomic<bool> cancelled_ = false;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

class StreamReactor final : public grpc::ServerGenericBidiReactor,
                            public Stream,
                            public std::enable_shared_from_this<StreamReactor> {
 public:
  StreamReactor(Context* context, const base::Clock& clock, UnreadWrites* unread)
      : peer_(context->peer()),
        deadline_(DeadlineOf(*context, clock)),
        unread_(*unread),
        call_(std::make_shared<CancellableCall>(context->c_call())) {
    // Copied: the stream may be asked after the call, and with it the context, is gone.
    for (const auto& [name, value] : context->client_metadata()) {
      metadata_.emplace(std::string(name.data(), name.size()),
                        std::string(value.data(), value.size()));
    }
  }

  void Open(const StreamOpener& opener) {
    self_ = shared_from_this();
    handler_ = opener(self_);
    bool refused;
    {
      std::lock_guard lock(mutex_);
      refused = finish_wanted_ && queue_.empty();
    }
    // The client learns that somebody listens before the first message leaves; where nobody does,
    // it is told only that.
    if (!refused) StartSendInitialMetadata();
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
    }
    Advance();
    StartRead(&incoming_);
  }

  std::optional<std::string> Metadata(std::string_view name) const override {
    const auto found = metadata_.find(name);
    if (found == metadata_.end()) return std::nullopt;
    return found->second;
  }
  base::TimePoint deadline() const override { return deadline_; }
  std::string peer() const override { return peer_; }
  bool cancelled() const override { return cancelled_; }

  size_t Write(std::string message) override {
    size_t waiting;
    {
      std::lock_guard lock(mutex_);
      if (finish_wanted_ || cancelled_) return 0;
      queued_bytes_ += message.size();
      waiting = queued_bytes_;
      queue_.push_back(std::move(message));
    }
    Advance();
    return waiting;
  }

  void Finish(absl::Status status) override {
    {
      std::lock_guard lock(mutex_);
      if (finish_wanted_) return;
      finish_wanted_ = true;
      status_ = std::move(status);
    }
    Advance();
  }

  void Abort(absl::Status status) override {
    std::shared_ptr<const CancellableCall> call;
    {
      std::lock_guard lock(mutex_);
      queue_.clear();
      call = call_;
      // Whichever of the two the transport comes to first says the same.
      finish_wanted_ = true;
      if (!finished_) status_ = status;
    }
    if (call != nullptr) call->Cancel(status);
    Advance();
  }

  void EndIfUnread() override {
    std::lock_guard lock(mutex_);
    if (!allowance_) allowance_ = unread_.patience();
  }

 private:
  // Starts the next write, or the end, unless a write is under way. grpc++ is called without the
  // lock, as it may call back at once; writing_ and finished_ keep everybody else out.
  void Advance() {
    bool write = false;
    grpc::WriteOptions options;
    {
      std::lock_guard lock(mutex_);
      if (writing_ || finished_) return;
      if (!queue_.empty() && !cancelled_) {
        writing_ = write = true;
        outgoing_ = BufferOf(std::move(queue_.front()));
        queue_.pop_front();
        // What is behind it takes it along.
        if (!queue_.empty()) options.set_buffer_hint();
        if (allowance_) ticket_ = unread_.Begin(call_, outgoing_.Length(), *allowance_);
      } else if (finish_wanted_) {
        finished_ = true;
      } else {
        return;
      }
    }
    if (write) {
      StartWrite(&outgoing_, options);
    } else {
      grpc::ServerGenericBidiReactor::Finish(GrpcStatus(status_));
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (!cancelled_) handler_->OnHalfClose();
      return;
    }
    // What is asked on a stream that ends is not answered: its client's messages stay with it.
    if (Ends()) return;
    std::string bytes = BytesOf(incoming_);
    incoming_.Clear();
    handler_->OnMessage(std::move(bytes));
    if (!Ends()) StartRead(&incoming_);
  }

  bool Ends() {
    std::lock_guard lock(mutex_);
    return finish_wanted_;
  }

  void OnWriteDone(bool ok) override {
    bool drained;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (ticket_) allowance_ = unread_.End(*std::exchange(ticket_, std::nullopt));
      queued_bytes_ -= std::min(queued_bytes_, outgoing_.Length());
      if (!ok) queue_.clear();
      drained = ok && queue_.empty();
    }
    if (drained) handler_->OnDrained();
    Advance();
  }

  void OnCancel() override {
    cancelled_ = true;
    Finish(absl::CancelledError("the client has gone"));
  }

  void OnDone() override {
    std::shared_ptr<const CancellableCall> call;
    {
      std::lock_guard lock(mutex_);
      call = std::move(call_);
    }
    call.reset();
    handler_->OnDone();
    handler_.reset();
    self_.reset();
  }

  const std::string peer_;
  const base::TimePoint deadline_;
  UnreadWrites& unread_;
  std::map<std::string, std::string, std::less<>> metadata_;
  std::unique_ptr<StreamHandler> handler_;
  // Keeps the reactor until OnDone; a service's own reference may keep it longer.
  std::shared_ptr<StreamReactor> self_;
  std::atomic<bool> cancelled_ = false;
  grpc::ByteBuffer incoming_;

  std::mutex mutex_;
  // Null once the call is over.
  std::shared_ptr<const CancellableCall> call_;
  // Of time with a write under way; none is counted for a client that need not read.
  std::optional<base::Duration> allowance_;
  // Of the write under way.
  std::optional<UnreadWrites::Ticket> ticket_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  // Also until the stream is open.
  bool writing_ = true;
  bool finish_wanted_ = false;
  bool finished_ = false;
  absl::Status status_;
  grpc::ByteBuffer outgoing_;
};

class RefusedReactor final : public grpc::ServerGenericBidiReactor {
 public:
  explicit RefusedReactor(const absl::Status& status) { Finish(GrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerGenericBidiReactor* NewReactor(Context* context, const Registry& registry,
                                           const base::Clock& clock, UnreadWrites* unread) {
  const Registry::Method* method = registry.Find(context->method());
  if (method == nullptr) return new RefusedReactor(registry.UnknownMethod(context->method()));
  if (const auto* unary = std::get_if<UnaryHandler>(method)) {
    return new UnaryReactor(context, unary, clock, unread);
  }
  auto stream = std::make_shared<StreamReactor>(context, clock, unread);
  stream->Open(std::get<StreamOpener>(*method));
  return stream.get();
}

}  // namespace rpc
