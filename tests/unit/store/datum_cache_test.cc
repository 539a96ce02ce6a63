// SPDX-License-Identifier: Apache-2.0

#include "store/datum_cache.h"

#include <string>

#include "gtest/gtest.h"
#include "store/datum.h"

namespace store {
namespace {

std::string DatumAt(int64_t revision, std::string_view value) {
  Datum datum;
  datum.create_revision = datum.mod_revision.main = revision;
  datum.timestamp = 1;
  datum.value = value;
  std::string bytes(EncodedDatumBytes(datum), '\0');
  EncodeDatum(bytes.data(), datum);
  return bytes;
}

TEST(DatumCacheTest, AnswersFromTheRevisionOfTheChangeOn) {
  DatumCache cache(1 << 20);
  EXPECT_FALSE(cache.Find("a", 100).has_value());
  cache.Update("a", DatumAt(10, "v"), 10);
  EXPECT_FALSE(cache.Find("a", 9).has_value()) << "an older view must ask its own reader";
  ASSERT_TRUE(cache.Find("a", 10).has_value());
  EXPECT_EQ(**cache.Find("a", 10), DatumAt(10, "v"));
}

TEST(DatumCacheTest, KnowsAbsence) {
  DatumCache cache(1 << 20);
  cache.Update("a", {}, 10);
  EXPECT_FALSE(cache.Find("a", 9).has_value());
  ASSERT_TRUE(cache.Find("a", 12).has_value());
  EXPECT_EQ(*cache.Find("a", 12), nullptr);
  cache.Offer("b", {}, 20);
  ASSERT_TRUE(cache.Find("b", 20).has_value());
  EXPECT_FALSE(cache.Find("b", 19).has_value()) << "it may have been there before";
}

TEST(DatumCacheTest, AnOldReaderCannotBringBackAnOldDatum) {
  DatumCache cache(1 << 20);
  cache.Update("a", DatumAt(10, "new"), 10);
  cache.Offer("a", DatumAt(5, "old"), 9);
  EXPECT_EQ(**cache.Find("a", 10), DatumAt(10, "new"));
}

TEST(DatumCacheTest, KeepsToItsBudget) {
  DatumCache cache(64 * 2000);
  const std::string value(100, 'v');
  for (int i = 0; i < 5000; ++i) {
    cache.Update("key" + std::to_string(i), DatumAt(i, value), i);
  }
  int found = 0;
  for (int i = 0; i < 5000; ++i) {
    if (cache.Find("key" + std::to_string(i), 5000).has_value()) ++found;
  }
  EXPECT_GT(found, 100);
  EXPECT_LT(found, 64 * 2000 / 236);
}

TEST(DatumCacheTest, WithoutABudgetItHoldsNothing) {
  DatumCache cache(0);
  cache.Update("a", DatumAt(10, "v"), 10);
  cache.Offer("b", {}, 10);
  EXPECT_FALSE(cache.Find("a", 10).has_value());
  EXPECT_FALSE(cache.Find("b", 10).has_value());
}

}  // namespace
}  // namespace store
