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
#include "rpc/handler.h"

namespace rpc {

// `Message` from bytes.
template <typename Message>
absl::StatusOr<Message> Decode(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return absl::InternalError(absl::StrCat("the request is not a valid ", message.GetTypeName()));
  }
  return message;
}

// From here on protobuf encodes nothing.
inline constexpr size_t kMessageBytesMax = std::numeric_limits<int32_t>::max();

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
