// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "glog/logging.h"
#include "grpc/support/log.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
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

// grpc++ says "no" and no more, so the reason is found by trying first.
absl::Status CheckBindable(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address ", address, " is not host:port"));
  }
  uint32_t port = 0;
  // getaddrinfo would take 99999 for 34463.
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address ", address, " has no port between 0 and 65535"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  address.substr(colon + 1).c_str(), &wanted, &found);
  if (failure != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address ", address, " is not one: ", gai_strerror(failure)));
  }
  int reason = 0;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    reason = errno;
  } else {
    // Without it, a server that has just ended would still seem to be there (TIME_WAIT).
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0) reason = errno;
    // Two sockets with SO_REUSEADDR may be bound to one port; only one may listen.
    if (reason == 0 && listen(fd, 1) != 0) reason = errno;
    close(fd);
  }
  freeaddrinfo(found);
  if (reason == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", strerror(reason)));
}

class GenericService final : public grpc::CallbackGenericService {
 public:
  GenericService(const Registry* registry, const base::Clock* clock)
      : registry_(registry), clock_(clock) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return NewReactor(context, *registry_, *clock_);
  }

 private:
  const Registry* const registry_;
  const base::Clock* const clock_;
};

int Milliseconds(base::Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

class GrpcServerImpl final : public GrpcServer {
 public:
  GrpcServerImpl(const Registry* registry, const base::Clock* clock) : service_(registry, clock) {}
  ~GrpcServerImpl() override { Stop(base::Duration::zero()); }

  absl::Status Listen(const GrpcServerOptions& options) {
    for (const std::string& address : options.addresses) RETURN_IF_ERROR(CheckBindable(address));
    grpc::ServerBuilder builder;
    ports_.assign(options.addresses.size(), 0);
    for (size_t i = 0; i < options.addresses.size(); ++i) {
      builder.AddListeningPort(options.addresses[i], grpc::InsecureServerCredentials(), &ports_[i]);
    }
    builder.SetMaxReceiveMessageSize(static_cast<int>(options.receive_bytes_max));
    builder.SetMaxSendMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
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
      return absl::UnavailableError("gRPC could not listen; --v=1 shows its own log");
    }
    return absl::OkStatus();
  }

  const std::vector<int>& ports() const override { return ports_; }

  void Stop(base::Duration grace) override {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
    server_ = nullptr;
  }

 private:
  GenericService service_;
  std::vector<int> ports_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const Registry* registry,
                                                              const base::Clock* clock) {
  SendGrpcLogToGlog();
  if (options.addresses.empty()) return absl::InvalidArgumentError("no address to listen on");
  auto server = std::make_unique<GrpcServerImpl>(registry, clock);
  RETURN_IF_ERROR(server->Listen(options));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace rpc
