// SPDX-License-Identifier: Apache-2.0
//
// state_hash.h: a number of 64 bits into which everything that apply does is folded, in order.
//
// Equal on members that applied the same entries with the same outcome, whatever their batches,
// restarts and background work. Against accidents, not against enemies.
// Threads: one.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace store {

class StateHash {
 public:
  explicit StateHash(uint64_t value) : value_(value) {}

  void Fold(uint64_t number) {
    // The product of two odd-looking words, both halves: each bit of the number reaches all.
    const unsigned __int128 product =
        static_cast<unsigned __int128>(value_ ^ 0x9E3779B97F4A7C15u) * (number ^ kOdd);
    value_ = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^
             (value_ << 1 | value_ >> 63);
  }
  void Fold(std::string_view bytes) {
    Fold(bytes.size());
    for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
      Fold(word);
    }
  }

  uint64_t value() const { return value_; }

 private:
  static constexpr uint64_t kOdd = 0xD6E8FEB86659FD93u;

  uint64_t value_;
};

}  // namespace store
