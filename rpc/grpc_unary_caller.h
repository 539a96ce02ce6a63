// SPDX-License-Identifier: Apache-2.0
//
// grpc_unary_caller.h: one request to another server, and its answer.
//
// The connection is made at the first call and kept. Threads: any; a call blocks its thread.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/time.h"

namespace rpc {

class UnaryCaller {
 public:
  // `address`: "host:port".
  explicit UnaryCaller(const std::string& address);
  ~UnaryCaller();
  UnaryCaller(const UnaryCaller&) = delete;
  UnaryCaller& operator=(const UnaryCaller&) = delete;

  // `method`: "/package.Service/Method". Errors: what the other side answers; Unavailable if it
  // cannot be reached, DeadlineExceeded after `patience`, Cancelled after Cancel.
  absl::StatusOr<std::string> Call(const std::string& method,
                                   const std::map<std::string, std::string>& metadata,
                                   std::string request, base::Duration patience);

  // Ends the calls under way, and all that come.
  void Cancel();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace rpc
