// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_unary.h"

#include <memory>
#include <utility>

#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "rpc/grpc_bytes.h"

namespace rpc {
namespace {

struct PendingCall {
  explicit PendingCall(const std::shared_ptr<grpc::Channel>& channel) : stub(channel) {}
  grpc::GenericStub stub;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

}  // namespace

void CallUnary(const UnaryCallOptions& options, std::string request,
               std::function<void(absl::StatusOr<std::string>)> done) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto call = std::make_shared<PendingCall>(
      grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments));
  call->context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout));
  call->request = BufferOf(std::move(request));
  call->stub.UnaryCall(&call->context, options.method, grpc::StubOptions(), &call->request,
                       &call->response, [call, done = std::move(done)](grpc::Status status) {
                         if (!status.ok()) return done(AbslStatus(status));
                         done(BytesOf(call->response));
                       });
}

}  // namespace rpc
