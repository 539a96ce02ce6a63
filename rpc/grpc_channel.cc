// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_channel.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "grpcpp/alarm.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "rpc/frames.h"
#include "rpc/grpc_bytes.h"

namespace rpc {
namespace {

int Milliseconds(base::Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

std::shared_ptr<grpc::Channel> NewChannel(const SendStreamOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, Milliseconds(options.pause_min));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Milliseconds(options.pause_min));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Milliseconds(options.pause_max));
  // Peers are reached as they are named: a proxy of the environment is not for them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(1 << 20);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// One attempt after the other, at most one at a time. The reactor's hold, taken at the start of
// an attempt, lets Send start writes from outside; it is given back exactly once: when the
// stream's read has ended and no write is under way.
class SendStream::Impl final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public std::enable_shared_from_this<SendStream::Impl> {
 public:
  Impl(SendStreamOptions options, OnChange on_change)
      : options_(std::move(options)),
        on_change_(std::move(on_change)),
        stub_(NewChannel(options_)),
        pause_(options_.pause_min) {}

  void Connect() {
    // A fired alarm keeps its callback, and that keeps this: it must go for either to go.
    std::unique_ptr<grpc::Alarm> fired;
    {
      std::lock_guard lock(mutex_);
      fired = std::move(alarm_);
      if (stopped_) {
        idle_ = true;
        idle_changed_.notify_all();
        return;
      }
      idle_ = false;
      reading_ = true;
      context_ = std::make_unique<grpc::ClientContext>();
      for (const auto& [name, value] : options_.metadata) context_->AddMetadata(name, value);
      if (options_.fresh_metadata) {
        for (const auto& [name, value] : options_.fresh_metadata()) {
          context_->AddMetadata(name, value);
        }
      }
      stub_.PrepareBidiStreamingCall(context_.get(), options_.method, grpc::StubOptions(), this);
      AddHold();
      StartRead(&incoming_);
    }
    StartCall();
  }

  bool Send(std::string bytes) {
    {
      std::lock_guard lock(mutex_);
      // One alone always goes: who sends it again and again would never get it across.
      const bool full =
          queued_bytes_ > 0 && queued_bytes_ + bytes.size() > options_.queue_bytes_max;
      if (!connected_ || full) return false;
      queued_bytes_ += bytes.size();
      queue_.push_back(std::move(bytes));
    }
    WriteWhatWaits();
    return true;
  }

  bool connected() const {
    std::lock_guard lock(mutex_);
    return connected_;
  }

  void Stop() {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
    if (alarm_ != nullptr) alarm_->Cancel();
    idle_changed_.wait(lock, [this] { return idle_; });
  }

 private:
  void WriteWhatWaits() {
    {
      std::lock_guard lock(mutex_);
      if (!connected_ || writing_ || queue_.empty()) return;
      writing_ = true;
      std::vector<grpc::Slice> slices;
      size_t size = 0;
      while (!queue_.empty() &&
             (size == 0 || size + queue_.front().size() <= options_.message_bytes_max)) {
        size += queue_.front().size() + kFrameHeaderBytes;
        slices.push_back(SliceOf(FrameHeader(queue_.front().size())));
        slices.push_back(SliceOf(std::move(queue_.front())));
        queue_.pop_front();
      }
      queued_bytes_ -= size - kFrameHeaderBytes * slices.size() / 2;
      outgoing_ = grpc::ByteBuffer(slices.data(), slices.size());
    }
    StartWrite(&outgoing_);
  }

  void OnReadInitialMetadataDone(bool ok) override {
    if (!ok) return;
    {
      std::lock_guard lock(mutex_);
      // A trailers-only refusal also brings "initial metadata"; the read that ends tells.
      if (!reading_ || stopped_) return;
      connected_ = true;
      pause_ = options_.pause_min;
    }
    Report(true, "");
  }

  void OnWriteDone(bool ok) override {
    bool give_back;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) Disconnect();
      give_back = !reading_;
    }
    if (give_back) {
      RemoveHold();
    } else {
      WriteWhatWaits();
    }
  }

  // The other side never sends a message, so a read ends when the stream does.
  void OnReadDone(bool ok) override {
    if (ok) {
      StartRead(&incoming_);
      return;
    }
    bool give_back;
    {
      std::lock_guard lock(mutex_);
      Disconnect();
      reading_ = false;
      give_back = !writing_;
    }
    if (give_back) RemoveHold();
  }

  void OnDone(const grpc::Status& status) override {
    Report(false, status.error_message());
    auto self = shared_from_this();
    std::lock_guard lock(mutex_);
    context_.reset();
    if (stopped_) {
      idle_ = true;
      idle_changed_.notify_all();
      return;
    }
    // Whoever refuses on purpose will do so for a while.
    if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) pause_ = options_.pause_max;
    const auto due = std::chrono::system_clock::now() + pause_;
    pause_ = std::min(pause_ * 2, options_.pause_max);
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(due, [self](bool) { self->Connect(); });
  }

  // Requires: mutex_ is held.
  void Disconnect() {
    connected_ = false;
    queue_.clear();
    queued_bytes_ = 0;
  }

  void Report(bool connected, const std::string& why) {
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
    }
    on_change_(connected, why);
  }

  const SendStreamOptions options_;
  const OnChange on_change_;
  grpc::GenericStub stub_;

  mutable std::mutex mutex_;
  std::condition_variable idle_changed_;
  base::Duration pause_;
  bool stopped_ = false;
  bool idle_ = true;  // no attempt runs and none is due
  bool connected_ = false;
  bool reading_ = false;
  bool writing_ = false;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::Alarm> alarm_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
};

SendStream::SendStream(SendStreamOptions options, OnChange on_change)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(on_change))) {
  impl_->Connect();
}

SendStream::~SendStream() { impl_->Stop(); }

bool SendStream::Send(std::string bytes) { return impl_->Send(std::move(bytes)); }

bool SendStream::connected() const { return impl_->connected(); }

}  // namespace rpc
