// SPDX-License-Identifier: Apache-2.0

#include "base/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

// RFC 3720, appendix B.4; the RFC prints the bytes of the checksum, least significant first.
TEST(Crc32c, GivesTheValuesOfTheRfc) {
  std::string up;
  for (int i = 0; i < 32; ++i) up.push_back(static_cast<char>(i));
  const std::string down(up.rbegin(), up.rend());
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(up), 0x46dd794eu);
  EXPECT_EQ(Crc32c(down), 0x113fdb5cu);
}

TEST(Crc32c, GivesTheCheckValueOfTheCatalogue) { EXPECT_EQ(Crc32c("123456789"), 0xe3069283u); }

TEST(Crc32c, OfNothingIsNothing) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("", 0x12345678u), 0x12345678u);
}

TEST(Crc32c, GoesOnWhereItEnded) {
  const std::string text = "a longer text whose parts have lengths of every remainder by eight";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), Crc32c(text)) << cut;
  }
}

TEST(Crc32c, SeesEachSingleBit) {
  const std::string text(67, 'x');
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(Crc32c(flipped), Crc32c(text)) << bit;
  }
}

}  // namespace
}  // namespace base
