// SPDX-License-Identifier: Apache-2.0
//
// random.h: seeded pseudo-random numbers, the same on every machine and library.
//
// xoshiro256** 1.0 by Blackman and Vigna (https://prng.di.unimi.it), seeded by splitmix64.
// Our own code, so that a standard library cannot change what a seed means.

#pragma once

#include <cstdint>

namespace base {

// Not for secrets. Threads: one at a time.
class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t Next();

  // Uniform in [0, bound). Requires: bound > 0. (Bias below 2^-32 for the bounds used here.)
  uint64_t Below(uint64_t bound);

  // Uniform in [low, high].
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }

  // True with the given probability, 0 to 1.
  bool Chance(double probability);

 private:
  uint64_t state_[4];
};

// A seed that differs at each call, from the kernel's entropy. For real nodes, never for tests.
uint64_t EntropySeed();

}  // namespace base
