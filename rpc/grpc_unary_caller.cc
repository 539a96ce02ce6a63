// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_unary_caller.h"

#include <future>
#include <mutex>
#include <set>
#include <utility>

#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "rpc/grpc_bytes.h"

namespace rpc {
namespace {

constexpr int kReconnectPauseMaxMilliseconds = 1000;

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectPauseMaxMilliseconds);
  // Peers are reached as they are named: a proxy of the environment is not for them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

class UnaryCaller::Impl {
 public:
  explicit Impl(const std::string& address) : stub_(NewChannel(address)) {}

  absl::StatusOr<std::string> Call(const std::string& method,
                                   const std::map<std::string, std::string>& metadata,
                                   std::string request, base::Duration patience) {
    grpc::ClientContext context;
    for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
    context.set_deadline(std::chrono::system_clock::now() + patience);
    {
      std::lock_guard lock(mutex_);
      if (cancelled_) return absl::CancelledError("this member stops");
      under_way_.insert(&context);
    }
    const grpc::ByteBuffer outgoing = BufferOf(std::move(request));
    grpc::ByteBuffer incoming;
    std::promise<grpc::Status> ended;
    stub_.UnaryCall(&context, method, grpc::StubOptions(), &outgoing, &incoming,
                    [&ended](grpc::Status status) { ended.set_value(std::move(status)); });
    const grpc::Status status = ended.get_future().get();
    {
      std::lock_guard lock(mutex_);
      under_way_.erase(&context);
    }
    if (!status.ok()) return AbslStatus(status);
    return BytesOf(incoming);
  }

  void Cancel() {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : under_way_) context->TryCancel();
  }

 private:
  grpc::GenericStub stub_;
  std::mutex mutex_;
  bool cancelled_ = false;
  std::set<grpc::ClientContext*> under_way_;
};

UnaryCaller::UnaryCaller(const std::string& address) : impl_(std::make_unique<Impl>(address)) {}

UnaryCaller::~UnaryCaller() = default;

absl::StatusOr<std::string> UnaryCaller::Call(const std::string& method,
                                              const std::map<std::string, std::string>& metadata,
                                              std::string request, base::Duration patience) {
  return impl_->Call(method, metadata, std::move(request), patience);
}

void UnaryCaller::Cancel() { impl_->Cancel(); }

}  // namespace rpc
