// SPDX-License-Identifier: Apache-2.0
//
// strong_number.h: 64-bit numbers that cannot be mistaken for one another.
//
// A term is not an index and an index is not a node id; the compiler says so.

#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace base {

// An unsigned 64-bit number with its own type, told apart by Tag. Zero when not given.
template <typename Tag>
class StrongNumber {
 public:
  constexpr StrongNumber() = default;
  constexpr explicit StrongNumber(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(StrongNumber, StrongNumber) = default;

  constexpr StrongNumber& operator++() {
    ++value_;
    return *this;
  }
  friend constexpr StrongNumber operator+(StrongNumber a, uint64_t n) {
    return StrongNumber(a.value_ + n);
  }
  friend constexpr StrongNumber operator-(StrongNumber a, uint64_t n) {
    return StrongNumber(a.value_ - n);
  }
  // The distance a - b. Requires: a >= b.
  friend constexpr uint64_t operator-(StrongNumber a, StrongNumber b) {
    return a.value_ - b.value_;
  }
  friend std::ostream& operator<<(std::ostream& out, StrongNumber n) { return out << n.value_; }

  template <typename H>
  friend H AbslHashValue(H h, StrongNumber n) {
    return H::combine(std::move(h), n.value_);
  }

 private:
  uint64_t value_ = 0;
};

}  // namespace base

template <typename Tag>
struct std::hash<base::StrongNumber<Tag>> {
  size_t operator()(base::StrongNumber<Tag> n) const { return std::hash<uint64_t>()(n.value()); }
};
