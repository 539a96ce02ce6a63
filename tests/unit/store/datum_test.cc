// SPDX-License-Identifier: Apache-2.0

#include "store/datum.h"

#include <string>

#include "base/random.h"
#include "gtest/gtest.h"

namespace store {
namespace {

Change SampleChange(std::string_view key, std::string_view value) {
  Change change;
  change.previous = {7, 3};
  change.key = key;
  change.datum = {5, {9, 2}, 4, -6, value};
  return change;
}

std::string Encode(const Change& change) {
  std::string bytes(EncodedChangeBytes(change), '\0');
  EncodeChange(bytes.data(), change);
  return bytes;
}

TEST(DatumTest, AChangeComesBackAsItWent) {
  const std::string bytes = Encode(SampleChange("key", std::string("\0value", 6)));
  const auto change = DecodeChange(bytes);
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change->kind, ChangeKind::kPut);
  EXPECT_EQ(change->previous, (Revision{7, 3}));
  EXPECT_EQ(change->key, "key");
  EXPECT_EQ(change->datum.create_revision, 5);
  EXPECT_EQ(change->datum.mod_revision, (Revision{9, 2}));
  EXPECT_EQ(change->datum.timestamp, 4);
  EXPECT_EQ(change->datum.lease, -6);
  EXPECT_EQ(change->datum.value, std::string_view("\0value", 6));
  EXPECT_FALSE(change->creates());
}

TEST(DatumTest, ADatumIsTheTailOfItsChange) {
  const std::string bytes = Encode(SampleChange("key", "value"));
  const auto change = DecodeChange(bytes);
  ASSERT_TRUE(change.ok());
  const auto datum = DecodeDatum(DatumBytesOf(*change, bytes));
  ASSERT_TRUE(datum.ok());
  EXPECT_EQ(datum->value, "value");
  EXPECT_EQ(datum->mod_revision, (Revision{9, 2}));
}

TEST(DatumTest, ADeleteHasNoDatum) {
  Change change = SampleChange("key", "");
  change.kind = ChangeKind::kDelete;
  std::string bytes = Encode(change);
  ASSERT_TRUE(DecodeChange(bytes).ok());
  EXPECT_EQ(DecodeChange(bytes)->kind, ChangeKind::kDelete);
  bytes += "x";
  EXPECT_FALSE(DecodeChange(bytes).ok());
}

TEST(DatumTest, EveryCutIsRefusedOrDecodes) {
  const std::string bytes = Encode(SampleChange("some key", "some value"));
  const size_t head = bytes.size() - std::string_view("some value").size();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeChange(std::string_view(bytes).substr(0, size)).ok(), size >= head) << size;
  }
}

TEST(DatumTest, AnyBytesDecodeWithinTheirBounds) {
  base::Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random.Below(80), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Below(random.Chance(0.5) ? 2 : 256));
    const auto change = DecodeChange(bytes);
    if (!change.ok()) continue;
    EXPECT_LE(change->key.size() + change->datum.value.size(), bytes.size());
  }
}

}  // namespace
}  // namespace store
