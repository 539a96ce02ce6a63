// SPDX-License-Identifier: Apache-2.0
//
// grpc_bulk.h: a bidirectional stream to a peer for bulk data, on a connection of its own, used by
// one thread that may wait.
//
// Threads: one, which blocks; Cancel from any.
// Errors:  what the other side says; Unavailable, DeadlineExceeded.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"

namespace rpc {

struct BulkStreamOptions {
  std::string address;  // "host:port"
  std::string method;
  std::map<std::string, std::string> metadata;
  // No single write, read or end takes longer; a stream that does is broken.
  base::Duration step_timeout = std::chrono::seconds(10);
};

class BulkStream {
 public:
  explicit BulkStream(const BulkStreamOptions& options);
  // Cancels what is under way.
  ~BulkStream();
  BulkStream(const BulkStream&) = delete;
  BulkStream& operator=(const BulkStream&) = delete;

  // Returns when the transport has taken it, which waits for the receiver's window.
  absl::Status Write(std::string message);
  // The other side's next message.
  absl::StatusOr<std::string> Read();
  void Cancel();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rpc
