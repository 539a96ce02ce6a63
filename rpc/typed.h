// SPDX-License-Identifier: Apache-2.0
//
// typed.h: handlers over protobuf messages.
//
// Errors: bytes that are not the request message end the call as Internal, as gRPC's own servers
//         do, and never reach the service.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "rpc/handler.h"

namespace rpc {

// Protobuf neither encodes nor decodes more.
inline constexpr size_t kMessageBytesMax = std::numeric_limits<int32_t>::max();

// How deep messages may lie in one another: far deeper than 128 Txns, two levels each, which is
// what validation lets pass by default, and shallow enough for any thread's stack, on which
// parsing, validation and destruction go down. Protobuf's own limit is 100.
inline constexpr int kNestingMax = 1000;

// `Message` from bytes.
template <typename Message>
absl::StatusOr<Message> Decode(const std::string& bytes) {
  Message message;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kNestingMax);
  if (bytes.size() > kMessageBytesMax || !message.ParseFromCodedStream(&stream) ||
      !stream.ConsumedEntireMessage()) {
    return absl::InternalError(absl::StrCat("the request is not a valid ", message.GetTypeName()));
  }
  return message;
}

// Ends a unary call with a message. Errors: ResourceExhausted, as gRPC's own servers say it, if
// the message is too large to be encoded.
template <typename Message>
void Reply(const UnaryDone& done, const absl::Status& status, const Message& message) {
  if (!status.ok()) return done(status, "");
  const size_t size = message.ByteSizeLong();
  if (size > kMessageBytesMax) {
    return done(
        absl::ResourceExhaustedError(absl::StrCat("grpc: trying to send message larger than max (",
                                                  size, " vs. ", kMessageBytesMax, ")")),
        "");
  }
  std::string bytes;
  if (!message.SerializeToString(&bytes)) {
    return done(absl::InternalError("the answer cannot be encoded"), "");
  }
  done(absl::OkStatus(), std::move(bytes));
}

// handler(call, request message, done): `done` takes bytes, so that an answer that is encoded
// already is not encoded again.
template <typename Request, typename Handler>
UnaryHandler TypedUnary(Handler handler) {
  return [handler = std::move(handler)](const Call& call, std::string bytes, UnaryDone done) {
    absl::StatusOr<Request> request = Decode<Request>(bytes);
    if (!request.ok()) return done(request.status(), "");
    handler(call, *std::move(request), std::move(done));
  };
}

// handler(stream, request message).
template <typename Request, typename Handler>
ServerStreamHandler TypedServerStream(Handler handler) {
  return [handler = std::move(handler)](std::shared_ptr<Stream> stream, std::string bytes) {
    absl::StatusOr<Request> request = Decode<Request>(bytes);
    if (!request.ok()) return stream->Finish(request.status());
    handler(std::move(stream), *std::move(request));
  };
}

}  // namespace rpc
