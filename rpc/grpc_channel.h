// SPDX-License-Identifier: Apache-2.0
//
// grpc_channel.h: one stream of byte strings to a peer, kept up.
//
// What waits is sent as one message of frames (frames.h), so the cost of a message is shared by
// all that came while the last one was on its way. While there is no connection, and when the
// queue is full, what is sent is dropped: who sends must be able to bear that (Raft is).
//
// Threads: Send from any; the report comes on one of grpc++'s own and must not block.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/time.h"

namespace rpc {

struct SendStreamOptions {
  std::string address;  // "host:port"
  std::string method;   // "/package.Service/Method", a stream method on the other side
  std::map<std::string, std::string> metadata;
  // Asked anew at each attempt, for what may change; may be empty. Must not block.
  std::function<std::map<std::string, std::string>()> fresh_metadata;
  size_t queue_bytes_max = 64 << 20;
  // Frames are joined up to this size; a single larger one goes alone.
  size_t message_bytes_max = 1 << 20;
  // The pause after a connection failed; doubles up to the maximum, and starts again at the
  // minimum after a connection that was up.
  base::Duration pause_min = std::chrono::milliseconds(50);
  base::Duration pause_max = std::chrono::seconds(1);
  // A silent connection is pinged after `keepalive_time` and given up `keepalive_timeout` later.
  base::Duration keepalive_time = std::chrono::seconds(2);
  base::Duration keepalive_timeout = std::chrono::seconds(3);
};

class SendStream {
 public:
  // Told of each change: up, or down and why. A peer that refuses each attempt is reported each
  // time.
  using OnChange = std::function<void(bool connected, const std::string& why)>;

  // Starts to connect.
  SendStream(SendStreamOptions options, OnChange on_change);
  // Drops what waits; no report comes afterwards.
  ~SendStream();
  SendStream(const SendStream&) = delete;
  SendStream& operator=(const SendStream&) = delete;

  // False if it was dropped at once. True promises nothing but order.
  bool Send(std::string bytes);

  bool connected() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rpc
