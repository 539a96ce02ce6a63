// SPDX-License-Identifier: Apache-2.0
//
// sha1.h: SHA-1 (FIPS 180-4), for identities that must come out as etcd's do. Not for secrets.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace base {

std::array<uint8_t, 20> Sha1(std::string_view bytes);

}  // namespace base
