// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_bytes.h"

#include <utility>
#include <vector>

namespace rpc {
namespace {

// Below this a copy is cheaper than a second allocation.
constexpr size_t kSliceCopyBytesMax = 256;

}  // namespace

grpc::Slice SliceOf(std::string bytes) {
  if (bytes.size() <= kSliceCopyBytesMax) return grpc::Slice(bytes);
  auto* owned = new std::string(std::move(bytes));
  return grpc::Slice(
      owned->data(), owned->size(), [](void* string) { delete static_cast<std::string*>(string); },
      owned);
}

grpc::ByteBuffer BufferOf(std::string bytes) {
  const grpc::Slice slice = SliceOf(std::move(bytes));
  return grpc::ByteBuffer(&slice, 1);
}

grpc::ByteBuffer BufferOf(Answer answer) {
  struct Owned {
    std::string bytes;
    std::shared_ptr<const void> held;
  };
  std::vector<grpc::Slice> slices;
  for (std::string& piece : answer.TakePieces()) {
    if (answer.held() == nullptr) {
      slices.push_back(SliceOf(std::move(piece)));
      continue;
    }
    auto* owned = new Owned{std::move(piece), answer.held()};
    slices.emplace_back(
        owned->bytes.data(), owned->bytes.size(),
        [](void* gone) { delete static_cast<Owned*>(gone); }, owned);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

grpc::Status GrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

absl::Status AbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace rpc
