// SPDX-License-Identifier: Apache-2.0
//
// sha256.h: SHA-256 (FIPS 180-4) of bytes that come piece by piece; OpenSSL's.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace base {

inline constexpr size_t kSha256Bytes = 32;

// Threads: one at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  void Add(std::string_view bytes);
  // Of all that was added; nothing may be added any more.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace base
