// SPDX-License-Identifier: Apache-2.0
//
// grpc_unary.h: unary calls to a peer that block nobody. Who may wait has grpc_unary_caller.h.
//
// Threads: any; `done` is called exactly once, on one of grpc++'s own, and must not block.
// Errors:  what the other side says; Unavailable, DeadlineExceeded.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/time.h"

namespace rpc {

class UnaryClient {
 public:
  using Done = std::function<void(absl::StatusOr<std::string>)>;

  // `address`: "host:port". Connects with the first call.
  explicit UnaryClient(const std::string& address);
  // Waits for the calls under way. Never on a thread of grpc++'s: it joins them.
  ~UnaryClient();
  UnaryClient(const UnaryClient&) = delete;
  UnaryClient& operator=(const UnaryClient&) = delete;

  // `method`: "/package.Service/Method".
  void Call(const std::string& method, std::string request, base::Duration timeout, Done done);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace rpc
