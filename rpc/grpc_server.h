// SPDX-License-Identifier: Apache-2.0
//
// grpc_server.h: a registry's methods served by grpc++, the reference transport.
//
// All methods pass through one generic callback service, so no generated stub is linked and a
// service cannot know that it is here.
//
// Threads: grpc++'s own. Errors: at start only; a bad client never ends the server.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "rpc/handler.h"

namespace rpc {

struct GrpcServerOptions {
  // "host:port"; port 0 takes a free one.
  std::vector<std::string> addresses;
  // A larger message ends its call with ResourceExhausted.
  size_t receive_bytes_max = 2 << 20;
  uint32_t concurrent_streams_max = UINT32_MAX;
  // A client that pings more often is sent away (GOAWAY too_many_pings).
  base::Duration ping_interval_min = std::chrono::seconds(5);
  bool pings_without_calls = false;
  // A silent connection is pinged after `keepalive_time` and closed `keepalive_timeout` later.
  base::Duration keepalive_time = std::chrono::hours(2);
  base::Duration keepalive_timeout = std::chrono::seconds(20);
  // A connection that has not begun to speak HTTP/2 by then is closed.
  base::Duration handshake_timeout = std::chrono::seconds(20);
  // A connection is closed at once when so many per cent of the descriptors that the process may
  // have are open: the rest is for others, and for the log, without which the process cannot go on.
  int descriptors_percent = 50;
  // A large answer that its client does not take for so long (and a second more for each 256 KiB)
  // ends its call.
  base::Duration unread_max = std::chrono::minutes(1);
  // What grpc++ may hold for reading and writing, all connections together.
  size_t memory_bytes_max = size_t{1} << 30;
};

class GrpcServer {
 public:
  // Serves when it returns. `registry` and `clock` must outlive the server.
  // Errors: InvalidArgument for an address that cannot be one, Unavailable for one that is in use
  //         or not ours; the text names the address.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const Registry* registry,
                                                           const base::Clock* clock);
  // Stops first if it still runs.
  virtual ~GrpcServer() = default;

  // The port of each address, in their order.
  virtual const std::vector<int>& ports() const = 0;

  // Ends the calls whose clients do not read (unread_max). To be called now and then.
  virtual void EndUnread() = 0;

  // Takes no more calls, cancels those that are still open after `grace`, and returns when all
  // handlers have ended. Idempotent.
  virtual void Stop(base::Duration grace) = 0;
};

}  // namespace rpc
