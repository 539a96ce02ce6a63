// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_bulk.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "rpc/grpc_bytes.h"

namespace rpc {
namespace {

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// A hold, taken at the start and given back by the destructor of BulkStream, lets writes and reads
// start from outside.
class BulkStream::Impl final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public std::enable_shared_from_this<BulkStream::Impl> {
 public:
  explicit Impl(const BulkStreamOptions& options)
      : options_(options), stub_(NewChannel(options.address)) {}

  void Begin() {
    self_ = shared_from_this();
    for (const auto& [name, value] : options_.metadata) context_.AddMetadata(name, value);
    stub_.PrepareBidiStreamingCall(&context_, options_.method, grpc::StubOptions(), this);
    AddHold();
    StartCall();
  }

  absl::Status Write(std::string message) {
    {
      std::lock_guard lock(mutex_);
      if (broken_) return WhyBroken();
      outgoing_ = BufferOf(std::move(message));
      writing_ = true;
    }
    StartWrite(&outgoing_);
    return Wait([this] { return !writing_; });
  }

  absl::StatusOr<std::string> Read() {
    {
      std::lock_guard lock(mutex_);
      if (broken_) return WhyBroken();
      reading_ = true;
    }
    StartRead(&incoming_);
    const absl::Status status = Wait([this] { return !reading_; });
    if (!status.ok()) return status;
    return BytesOf(incoming_);
  }

  void Cancel() { context_.TryCancel(); }

  // Nothing is started any more.
  void End() {
    Cancel();
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !writing_ && !reading_; });
    }
    RemoveHold();
  }

 private:
  template <typename Ready>
  absl::Status Wait(Ready ready) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, options_.step_timeout, ready)) {
      broken_ = true;
      lock.unlock();
      Cancel();
      return absl::DeadlineExceededError("the other side does not go on");
    }
    return broken_ ? WhyBroken() : absl::OkStatus();
  }

  // Requires: mutex_ is held.
  absl::Status WhyBroken() const {
    return status_.ok() ? absl::UnavailableError("the stream broke") : status_;
  }

  void Ended(bool ok, bool* under_way) {
    std::lock_guard lock(mutex_);
    *under_way = false;
    if (!ok) broken_ = true;
    changed_.notify_all();
  }

  void OnWriteDone(bool ok) override { Ended(ok, &writing_); }
  void OnReadDone(bool ok) override { Ended(ok, &reading_); }

  void OnDone(const grpc::Status& status) override {
    {
      std::lock_guard lock(mutex_);
      status_ = AbslStatus(status);
      broken_ = true;
      changed_.notify_all();
    }
    self_.reset();
  }

  const BulkStreamOptions options_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  // Keeps this until OnDone.
  std::shared_ptr<Impl> self_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool writing_ = false;
  bool reading_ = false;
  bool broken_ = false;
  absl::Status status_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;
};

BulkStream::BulkStream(const BulkStreamOptions& options) : impl_(std::make_shared<Impl>(options)) {
  impl_->Begin();
}

BulkStream::~BulkStream() { impl_->End(); }

absl::Status BulkStream::Write(std::string message) { return impl_->Write(std::move(message)); }

absl::StatusOr<std::string> BulkStream::Read() { return impl_->Read(); }

void BulkStream::Cancel() { impl_->Cancel(); }

}  // namespace rpc
