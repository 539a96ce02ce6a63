// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "glog/logging.h"
#include "grpc/support/log.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "rpc/acceptor.h"
#include "rpc/grpc_calls.h"

namespace rpc {
namespace {

// gRPC's own lines go where ours go, and only when they are asked for.
void SendGrpcLogToGlog() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function([](gpr_log_func_args* line) {
      VLOG(1) << "grpc " << line->file << ":" << line->line << " " << line->message;
    });
  });
}

class GenericService final : public grpc::CallbackGenericService {
 public:
  GenericService(const Registry* registry, const base::Clock* clock, UnreadWrites* unread)
      : registry_(registry), clock_(clock), unread_(unread) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return NewReactor(context, *registry_, *clock_, unread_);
  }

 private:
  const Registry* const registry_;
  const base::Clock* const clock_;
  UnreadWrites* const unread_;
};

int DescriptorsMax(int percent) {
  // More would cost more memory than a member has.
  constexpr rlim_t kMost = 1 << 17;
  rlimit limit = {};
  PCHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  return static_cast<int>(std::min(limit.rlim_cur, kMost)) * percent / 100;
}

int Milliseconds(base::Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

class GrpcServerImpl final : public GrpcServer {
 public:
  GrpcServerImpl(const Registry* registry, const base::Clock* clock, base::Duration unread_max)
      : unread_(clock, unread_max), service_(registry, clock, &unread_) {}
  ~GrpcServerImpl() override { Stop(base::Duration::zero()); }

  absl::Status Listen(const GrpcServerOptions& options) {
    auto acceptor = std::make_unique<Acceptor>(
        AcceptorOptions{.descriptors_max = DescriptorsMax(options.descriptors_percent),
                        .unacknowledged_max = options.keepalive_timeout});
    ports_.assign(options.addresses.size(), 0);
    for (size_t i = 0; i < options.addresses.size(); ++i) {
      RETURN_IF_ERROR(acceptor->Listen(options.addresses[i], &ports_[i]));
    }
    grpc::ServerBuilder builder;
    connections_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    builder.SetMaxReceiveMessageSize(static_cast<int>(options.receive_bytes_max));
    builder.SetMaxSendMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               Milliseconds(options.handshake_timeout));
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONCURRENT_STREAMS,
        static_cast<int>(std::min<uint32_t>(options.concurrent_streams_max, INT32_MAX)));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                               Milliseconds(options.keepalive_timeout));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
                               options.pings_without_calls ? 1 : 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               Milliseconds(options.ping_interval_min));
    grpc::ResourceQuota quota("datum");
    quota.Resize(options.memory_bytes_max);
    builder.SetResourceQuota(quota);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError("gRPC could not start; --v=1 shows its own log");
    }
    acceptor_ = std::move(acceptor);
    acceptor_->Start([this](int listener, int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.listener_fd = listener;
      connection.fd = fd;
      connections_->HandleNewConnection(&connection);
    });
    return absl::OkStatus();
  }

  const std::vector<int>& ports() const override { return ports_; }

  void EndUnread() override { unread_.Look(); }

  void Stop(base::Duration grace) override {
    if (server_ == nullptr) return;
    // First: what is handed to a server that has ended is never closed.
    acceptor_->Stop();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
    server_ = nullptr;
  }

 private:
  UnreadWrites unread_;
  GenericService service_;
  std::vector<int> ports_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const Registry* registry,
                                                              const base::Clock* clock) {
  SendGrpcLogToGlog();
  if (options.addresses.empty()) return absl::InvalidArgumentError("no address to listen on");
  auto server = std::make_unique<GrpcServerImpl>(registry, clock, options.unread_max);
  RETURN_IF_ERROR(server->Listen(options));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace rpc
