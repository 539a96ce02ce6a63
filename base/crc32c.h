// SPDX-License-Identifier: Apache-2.0
//
// crc32c.h: CRC-32C (Castagnoli, RFC 3720 B.4) by the SSE4.2 instruction.

#pragma once

#include <cstdint>
#include <string_view>

namespace base {

// The checksum of `bytes`, going on from `seed`: Crc32c(b, Crc32c(a)) == Crc32c(a + b).
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace base
