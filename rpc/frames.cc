// SPDX-License-Identifier: Apache-2.0

#include "rpc/frames.h"

#include "glog/logging.h"

namespace rpc {

std::string FrameHeader(size_t length) {
  CHECK_LT(length, uint64_t{1} << 32);
  std::string header(kFrameHeaderBytes, '\0');
  for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
    header[i] = static_cast<char>((length >> (8 * i)) & 0xff);
  }
  return header;
}

absl::Status ForEachFrame(std::string_view message,
                          const std::function<void(std::string_view)>& take) {
  while (!message.empty()) {
    if (message.size() < kFrameHeaderBytes) {
      return absl::InvalidArgumentError("a frame's length is cut");
    }
    uint64_t length = 0;
    for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
      length |= uint64_t{static_cast<unsigned char>(message[i])} << (8 * i);
    }
    message.remove_prefix(kFrameHeaderBytes);
    if (length > message.size()) return absl::InvalidArgumentError("a frame is cut");
    take(message.substr(0, length));
    message.remove_prefix(length);
  }
  return absl::OkStatus();
}

}  // namespace rpc
