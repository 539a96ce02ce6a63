// SPDX-License-Identifier: Apache-2.0

#include "rpc/acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "glog/logging.h"

namespace rpc {
namespace {

// What the kernel holds for us while we are busy.
constexpr int kBacklog = 4096;
// When nothing can be accepted, it is tried again so much later.
constexpr int kPauseMilliseconds = 100;

struct Resolved {
  ~Resolved() {
    if (first != nullptr) freeaddrinfo(first);
  }
  addrinfo* first = nullptr;
};

absl::Status Resolve(const std::string& address, Resolved* resolved) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address ", address, " is not host:port"));
  }
  const std::string port = address.substr(colon + 1);
  uint32_t number = 0;
  // getaddrinfo would take 99999 for 34463.
  if (!absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address ", address, " has no port between 0 and 65535"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  // All addresses are those of both families, as they are for Go's servers.
  if (host == "0.0.0.0" || host == "::") host.clear();
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const int failure =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &wanted, &resolved->first);
  if (failure == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("listen address ", address, " is not one: ", gai_strerror(failure)));
}

void SetPort(sockaddr* place, int port) {
  // The port lies in the same place in both families.
  auto* in = reinterpret_cast<sockaddr_in*>(place);
  in->sin_port = htons(static_cast<uint16_t>(port));
}

int PortOf(int fd) {
  sockaddr_storage place = {};
  socklen_t length = sizeof(place);
  CHECK_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&place), &length), 0);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&place)->sin_port);
}

// -1, and errno, if that cannot be. A connection has what its listener was given.
int ListenOn(const addrinfo& place, const AcceptorOptions& options) {
  const int fd = socket(place.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int yes = 1;
  const int unacknowledged = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(options.unacknowledged_max).count());
  // Without it, a server that has just ended would still seem to be there (TIME_WAIT).
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  // Each family has a socket of its own.
  if (place.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof(unacknowledged));
  if (bind(fd, place.ai_addr, place.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

}  // namespace

Acceptor::Acceptor(const AcceptorOptions& options)
    : options_(options), stop_event_(eventfd(0, EFD_CLOEXEC)) {
  PCHECK(stop_event_ >= 0);
}

Acceptor::~Acceptor() {
  Stop();
  close(stop_event_);
}

absl::Status Acceptor::Listen(const std::string& address, int* port) {
  Resolved resolved;
  RETURN_IF_ERROR(Resolve(address, &resolved));
  *port = 0;
  int reason = 0;
  for (const addrinfo* place = resolved.first; place != nullptr; place = place->ai_next) {
    if (*port != 0) SetPort(place->ai_addr, *port);
    const int fd = ListenOn(*place, options_);
    if (fd < 0) {
      // A name may have addresses of a family that this machine does not have.
      if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
        if (reason == 0) reason = errno;
        continue;
      }
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", address, ": ", strerror(errno)));
    }
    listeners_.push_back(fd);
    *port = PortOf(fd);
  }
  if (*port != 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", strerror(reason)));
}

void Acceptor::Start(Take take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    PCHECK(write(stop_event_, &one, sizeof(one)) == sizeof(one));
    thread_.join();
  }
  CloseListeners();
}

void Acceptor::CloseListeners() {
  for (int listener : listeners_) close(listener);
  listeners_.clear();
}

void Acceptor::Run() {
  std::vector<pollfd> all = {{stop_event_, POLLIN, 0}};
  for (int listener : listeners_) all.push_back({listener, POLLIN, 0});
  bool pause = false;
  for (;;) {
    // While nothing can be accepted, only the end is waited for.
    const nfds_t watched = pause ? 1 : all.size();
    if (poll(all.data(), watched, pause ? kPauseMilliseconds : -1) < 0 && errno != EINTR) {
      PLOG(FATAL) << "poll";
    }
    if (all[0].revents != 0) return;
    pause = false;
    for (size_t i = 1; i < all.size(); ++i) {
      if (!AcceptAll(all[i].fd)) pause = true;
    }
  }
}

bool Acceptor::AcceptAll(int listener) {
  // Bounded, so that a flood on one listener does not hold up the end.
  for (int i = 0; i < kBacklog; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= options_.descriptors_max) {
      LOG_EVERY_N(WARNING, 1000) << "too many connections: another one is closed; descriptors from "
                                 << options_.descriptors_max << " on are not for them (ulimit -n)";
      close(fd);
    } else if (fd >= 0) {
      take_(listener, fd);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      LOG_EVERY_N(WARNING, 100) << "no connection can be accepted: " << strerror(errno);
      return false;
    }
    // Anything else is about that one connection (accept(2)).
  }
  return true;
}

}  // namespace rpc
