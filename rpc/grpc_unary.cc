// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_unary.h"

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
  // What members tell each other may be long.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// The last reference to a channel joins grpc++'s callback threads, so it must not be dropped on
// one of them: each call's context, which has a reference too, goes before the client does.
class UnaryClient::Impl {
 public:
  explicit Impl(const std::string& address) : stub_(NewChannel(address)) {}

  ~Impl() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return pending_ == 0; });
  }

  void Call(const std::string& method, std::string request, base::Duration timeout, Done done) {
    auto call = std::make_shared<PendingCall>(this);
    call->context.set_deadline(std::chrono::system_clock::now() +
                               std::chrono::duration_cast<std::chrono::milliseconds>(timeout));
    call->request = BufferOf(std::move(request));
    stub_.UnaryCall(&call->context, method, grpc::StubOptions(), &call->request, &call->response,
                    [call, done = std::move(done)](const grpc::Status& status) {
                      if (!status.ok()) return done(AbslStatus(status));
                      done(BytesOf(call->response));
                    });
  }

 private:
  // Counts a call until all of it is gone.
  struct Ticket {
    explicit Ticket(Impl* client) : client(client) {
      std::lock_guard lock(client->mutex_);
      ++client->pending_;
    }
    ~Ticket() {
      std::lock_guard lock(client->mutex_);
      --client->pending_;
      client->none_.notify_all();
    }
    Impl* const client;
  };
  struct PendingCall {
    explicit PendingCall(Impl* client) : ticket(client) {}
    const Ticket ticket;  // the first, so the last to go
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
  };

  std::mutex mutex_;
  std::condition_variable none_;
  int pending_ = 0;
  grpc::GenericStub stub_;
};

UnaryClient::UnaryClient(const std::string& address) : impl_(std::make_unique<Impl>(address)) {}

UnaryClient::~UnaryClient() = default;

void UnaryClient::Call(const std::string& method, std::string request, base::Duration timeout,
                       Done done) {
  impl_->Call(method, std::move(request), timeout, std::move(done));
}

}  // namespace rpc
