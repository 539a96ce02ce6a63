// SPDX-License-Identifier: Apache-2.0
//
// acceptor.h: listens, and takes as many connections as the process can bear.
//
// grpc++ 1.51 has no limit, and never accepts again once accept() has failed for want of a
// descriptor: a flood of connections would leave a member deaf for ever, and the log without a
// descriptor for its next segment. The kernel gives the lowest number that is free, so the number
// of a new connection says how many descriptors there are: above the limit it is closed at once.
//
// Threads: one of its own accepts; Start and Stop from one.

#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"

namespace rpc {

struct AcceptorOptions {
  // A connection whose descriptor's number is not below it is closed.
  int descriptors_max = 1 << 16;
  // What was sent and is not acknowledged for so long ends a connection.
  base::Duration unacknowledged_max = std::chrono::seconds(20);
};

class Acceptor {
 public:
  // Takes over the connection `fd`, which came on `listener`.
  using Take = std::function<void(int listener, int fd)>;

  explicit Acceptor(const AcceptorOptions& options);
  // Stops.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Listens on all that "host:port" means; *port is what the kernel picked for 0. Before Start.
  // Errors: InvalidArgument for what cannot be one, Unavailable for what is in use or not ours.
  absl::Status Listen(const std::string& address, int* port);

  void Start(Take take);
  // Listens no more; Take is not called any more when it returns. Idempotent.
  void Stop();

 private:
  void Run();
  // False if there may be more but none can be accepted now.
  bool AcceptAll(int listener);
  void CloseListeners();

  const AcceptorOptions options_;
  std::vector<int> listeners_;
  int stop_event_ = -1;
  Take take_;
  std::thread thread_;
};

}  // namespace rpc
