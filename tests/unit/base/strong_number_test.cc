// SPDX-License-Identifier: Apache-2.0

#include "base/strong_number.h"

#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "absl/container/flat_hash_set.h"
#include "gtest/gtest.h"

namespace base {
namespace {

using Apples = StrongNumber<struct ApplesTag>;
using Pears = StrongNumber<struct PearsTag>;

TEST(StrongNumber, IsNeitherAnotherNorAPlainNumber) {
  EXPECT_FALSE((std::is_convertible_v<Apples, Pears>));
  EXPECT_FALSE((std::is_constructible_v<Apples, Pears>));
  EXPECT_FALSE((std::is_convertible_v<uint64_t, Apples>));
  EXPECT_FALSE((std::is_convertible_v<Apples, uint64_t>));
  EXPECT_EQ(sizeof(Apples), sizeof(uint64_t));
}

TEST(StrongNumber, IsZeroWhenNotGiven) { EXPECT_EQ(Apples().value(), 0u); }

TEST(StrongNumber, CountsAndCompares) {
  Apples apples(5);
  EXPECT_EQ(++apples, Apples(6));
  EXPECT_EQ(apples + 4, Apples(10));
  EXPECT_EQ(apples - 1, Apples(5));
  EXPECT_EQ(Apples(10) - Apples(4), 6u);
  EXPECT_LT(Apples(5), Apples(6));
  EXPECT_GE(Apples(~uint64_t{0}), Apples(1));  // unsigned
}

TEST(StrongNumber, PrintsAndHashes) {
  std::ostringstream out;
  out << Apples(42);
  EXPECT_EQ(out.str(), "42");
  EXPECT_EQ((std::unordered_set<Apples>{Apples(1), Apples(1), Apples(2)}.size()), 2u);
  EXPECT_EQ((absl::flat_hash_set<Apples>{Apples(1), Apples(1), Apples(2)}.size()), 2u);
}

}  // namespace
}  // namespace base
