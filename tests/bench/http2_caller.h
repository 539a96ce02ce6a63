// SPDX-License-Identifier: Apache-2.0
//
// http2_caller.h: one HTTP/2 connection that makes unary gRPC calls with prepared bytes.
//
// Light on purpose: a client that costs as much as the server would hide the server
// (reference/performance.md, finding 4). h2c with prior knowledge, no TLS, no protobuf.
//
// Threads: one.
// Errors:  a call that fails is told by its `done`; a connection that breaks fails all its calls.

#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"

namespace bench {

struct CallResult {
  // grpc-status of the trailers; -1 if there was none.
  int grpc_status = -1;
  // Of the response's message, without the 5 bytes of framing.
  size_t message_bytes = 0;
};

// A protobuf message with the 5 bytes before it that gRPC wants on the wire.
std::string Framed(const std::string& message);

class Http2Caller {
 public:
  // `endpoint` is host:port, an IPv4 address. `done(caller number, result)` ends each call.
  using Done = std::function<void(uint32_t caller, const CallResult& result)>;
  static absl::StatusOr<std::unique_ptr<Http2Caller>> Connect(const std::string& endpoint,
                                                              Done done);
  ~Http2Caller();

  // Begins a call. `path` must outlive it; the bytes are taken. At most one call a caller number.
  void Call(const std::string& path, uint32_t caller, std::string framed_request);

  // Reads and writes what can be without waiting. False when the connection is gone.
  bool OnReadable();
  bool Flush();
  bool wants_writable() const { return sent_ < outgoing_.size(); }

  int descriptor() const { return descriptor_; }

 private:
  struct Stream {
    uint32_t caller = 0;
    std::string request;
    size_t request_sent = 0;
    size_t response_bytes = 0;
    int grpc_status = -1;
  };

  Http2Caller(int descriptor, std::string authority, Done done);
  Stream* StreamOf(int32_t id);
  static nghttp2_session_callbacks* Callbacks();

  static ssize_t ReadRequest(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t length,
                             uint32_t* data_flags, nghttp2_data_source* source, void* self);
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_length, const uint8_t* value, size_t value_length, uint8_t flags,
                      void* self);
  static int OnData(nghttp2_session* session, uint8_t flags, int32_t id, const uint8_t* bytes,
                    size_t length, void* self);
  static int OnStreamClose(nghttp2_session* session, int32_t id, uint32_t error_code, void* self);

  const int descriptor_;
  const std::string authority_;
  const Done done_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, Stream> streams_;
  std::string outgoing_;
  size_t sent_ = 0;
};

}  // namespace bench
