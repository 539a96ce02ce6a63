// SPDX-License-Identifier: Apache-2.0
//
// grpc_bytes.h: strings to and from grpc++'s byte buffers and statuses.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"
#include "rpc/handler.h"

namespace rpc {

// The buffer takes the string's memory over; nothing is copied.
grpc::Slice SliceOf(std::string bytes);
grpc::ByteBuffer BufferOf(std::string bytes);
grpc::ByteBuffer BufferOf(Answer answer);
// One copy.
std::string BytesOf(const grpc::ByteBuffer& buffer);

grpc::Status GrpcStatus(const absl::Status& status);
absl::Status AbslStatus(const grpc::Status& status);

}  // namespace rpc
