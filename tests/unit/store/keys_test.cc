// SPDX-License-Identifier: Apache-2.0

#include "store/keys.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace store {
namespace {

TEST(KeysTest, RevisionKeysSortAsRevisions) {
  const std::vector<Revision> ascending = {{0, 0}, {1, 0},   {1, 1},   {1, 256},
                                           {2, 0}, {255, 9}, {256, 0}, {1LL << 40, 5}};
  std::vector<std::string> keys;
  for (const Revision& revision : ascending) keys.push_back(RevisionKey(revision));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].size(), kRevisionBytes);
    EXPECT_EQ(DecodeRevision(keys[i].data()), ascending[i]);
  }
}

TEST(KeysTest, BytesAreAsInThePicture) {
  EXPECT_EQ(RevisionKey({0x0102030405060708, 0x090a0b0c}),
            "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c");
  EXPECT_EQ(LeaseUserKey(1, "k"), std::string("\0\0\0\0\0\0\0\x01k", 9));
  EXPECT_EQ(DecodeLease(LeaseKey(-5).data()), -5);
}

TEST(KeysTest, RangeEndsMeanWhatEtcdSays) {
  const KeyRange one = KeyRangeOf("a", "");
  EXPECT_TRUE(one.single);
  EXPECT_FALSE(one.empty());
  const KeyRange from = KeyRangeOf("a", std::string_view("\0", 1));
  EXPECT_FALSE(from.single);
  EXPECT_TRUE(from.end.empty());
  EXPECT_FALSE(from.empty());
  EXPECT_FALSE(KeyRangeOf("a", "b").empty());
  EXPECT_TRUE(KeyRangeOf("b", "a").empty());
  EXPECT_TRUE(KeyRangeOf("b", "b").empty());
}

}  // namespace
}  // namespace store
