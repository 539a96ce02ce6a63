// SPDX-License-Identifier: Apache-2.0
//
// codec.h: the core's messages as bytes and back.
//
// Threads: any. Errors: DataLoss for bytes whose checksum is wrong, InvalidArgument for a
// message that no member can have sent. Bytes of any kind are survived.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "raft/core/message.h"

namespace raft {

std::string EncodeEnvelope(const Envelope& envelope);
absl::StatusOr<Envelope> DecodeEnvelope(std::string_view bytes);

}  // namespace raft
