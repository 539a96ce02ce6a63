// SPDX-License-Identifier: Apache-2.0
//
// frames.h: several byte strings as one message of a stream: each is a length (4 bytes, little
// endian) and the bytes. One message costs a transport far more than one byte string.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace rpc {

inline constexpr size_t kFrameHeaderBytes = 4;

// The header of a frame of this length. Requires: length < 2^32.
std::string FrameHeader(size_t length);

// Calls `take` for each frame of `message`, in order.
// Errors: InvalidArgument if `message` does not end where a frame ends; what came before was
// taken.
absl::Status ForEachFrame(std::string_view message,
                          const std::function<void(std::string_view)>& take);

}  // namespace rpc
