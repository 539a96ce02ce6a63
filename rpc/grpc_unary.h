// SPDX-License-Identifier: Apache-2.0
//
// grpc_unary.h: one unary call to a peer that blocks nobody, on a connection of its own: for what
// is rare. Who may wait has grpc_unary_caller.h.
//
// Threads: any; `done` is called exactly once, on one of grpc++'s own, and must not block.
// Errors:  what the other side says; Unavailable, DeadlineExceeded.

#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "base/time.h"

namespace rpc {

struct UnaryCallOptions {
  std::string address;  // "host:port"
  std::string method;   // "/package.Service/Method"
  base::Duration timeout = std::chrono::seconds(5);
};

void CallUnary(const UnaryCallOptions& options, std::string request,
               std::function<void(absl::StatusOr<std::string>)> done);

}  // namespace rpc
