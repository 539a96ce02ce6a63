// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_text.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace client {
namespace {

using Words = std::vector<std::string>;

TEST(DatumctlText, QuotesAsGoDoes) {
  EXPECT_EQ(GoQuoted("plain 'q'"), "\"plain 'q'\"");
  EXPECT_EQ(GoQuoted("a\"b\\c\n\t\x01\x7f"), R"("a\"b\\c\n\t\x01\x7f")");
  EXPECT_EQ(GoQuoted("\xff\xc3"), R"("\xff\xc3")");
  EXPECT_EQ(GoQuoted("ü\u2028"), "\"ü\\u2028\"");
  EXPECT_EQ(GoQuoted("\U000f0001"), "\"\\U000f0001\"");
}

TEST(DatumctlText, TakesBackWhatGoQuoted) {
  for (const std::string text :
       {"", "plain", "a\"b\\c\n\t\x01\x7f", "\xff\xc3", "ü\u2028", "\U000f0001"}) {
    const std::string quoted = GoQuoted(text) + " rest";
    std::string_view rest = quoted;
    EXPECT_EQ(TakeGoQuoted(&rest), text);
    EXPECT_EQ(rest, " rest");
  }
  std::string_view octal = R"("\101\x42")";
  EXPECT_EQ(TakeGoQuoted(&octal), "AB");
  std::string_view raw = "`a\\b`";
  EXPECT_EQ(TakeGoQuoted(&raw), "a\\b");
}

TEST(DatumctlText, RefusesWhatIsNotAString) {
  for (const std::string_view bad : {"", "plain", "\"open", "\"\\q\"", "\"\\x4\"", "\"\\400\"",
                                     "\"\\ud800\"", "\"\\U00110000\"", "\"a\nb\"", "`open"}) {
    std::string_view rest = bad;
    EXPECT_EQ(TakeGoQuoted(&rest), std::nullopt) << bad;
    EXPECT_EQ(rest, bad);
  }
}

TEST(DatumctlText, JsonStringsAsGoWritesThem) {
  EXPECT_EQ(GoJsonString("<a&b>\"\\\n\x01"), R"("\u003ca\u0026b\u003e\"\\\n\u0001")");
  EXPECT_EQ(GoJsonString("ü\u2028\xff"), "\"ü\\u2028\\ufffd\"");
}

TEST(DatumctlText, SizesInThousands) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(9), "9 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1.0 kB");
  EXPECT_EQ(HumanBytes(20480), "20 kB");
  EXPECT_EQ(HumanBytes(4739072), "4.7 MB");
  EXPECT_EQ(HumanBytes(2147483648), "2.1 GB");
}

TEST(DatumctlText, DurationsAsGoWritesThem) {
  EXPECT_EQ(GoDuration(absl::Nanoseconds(3188663)), "3.188663ms");
  EXPECT_EQ(GoDuration(absl::Microseconds(5)), "5µs");
  EXPECT_EQ(GoDuration(absl::Milliseconds(62500)), "1m2.5s");
}

TEST(DatumctlText, SplitsRequestLines) {
  EXPECT_EQ(SplitWords(R"(put  k "a \"b\"" --lease=1)"),
            (Words{"put", "k", "a \"b\"", "--lease=1"}));
  EXPECT_EQ(SplitWords("put k 'one two'"), (Words{"put", "k", "one two"}));
  EXPECT_EQ(SplitWords(""), Words{});
  EXPECT_EQ(SplitWords("put \"open"), std::nullopt);
  EXPECT_EQ(SplitWords("put 'open"), std::nullopt);
}

TEST(DatumctlText, HexOfEachByte) { EXPECT_EQ(HexEscaped("a\xff"), "\\x61\\xff"); }

}  // namespace
}  // namespace client
