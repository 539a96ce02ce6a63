// SPDX-License-Identifier: Apache-2.0

#include "server/auto_compaction.h"

#include "gtest/gtest.h"

namespace server {
namespace {

using Mode = AutoCompactionOptions::Mode;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(AutoCompactionTest, WhatTheFlagsMean) {
  EXPECT_EQ(ParseAutoCompaction("", "")->mode, Mode::kOff);
  EXPECT_EQ(ParseAutoCompaction("periodic", "0")->mode, Mode::kOff);
  EXPECT_EQ(ParseAutoCompaction("revision", "0")->mode, Mode::kOff);
  EXPECT_EQ(ParseAutoCompaction("", "2")->period, std::chrono::hours(2));
  EXPECT_EQ(ParseAutoCompaction("periodic", "90s")->period, std::chrono::seconds(90));
  EXPECT_EQ(ParseAutoCompaction("revision", "1000")->revisions, 1000);
  EXPECT_EQ(ParseAutoCompaction("revision", "1000")->mode, Mode::kRevision);
  for (const auto& [mode, retention] :
       std::vector<std::pair<std::string, std::string>>{{"revision", "1h"},
                                                        {"revision", "-1"},
                                                        {"periodic", "-1h"},
                                                        {"periodic", "x"},
                                                        {"hourly", "1"}}) {
    EXPECT_FALSE(ParseAutoCompaction(mode, retention).ok()) << mode << " " << retention;
  }
}

TEST(AutoCompactionTest, ByRevisionEachFiveMinutesByTheLeaderAlone) {
  AutoCompaction compaction(*ParseAutoCompaction("revision", "100"));
  base::TimePoint now{};
  EXPECT_FALSE(compaction.Look(now, 1000, -1, true).has_value());
  EXPECT_FALSE(compaction.Look(now + minutes(4), 1000, -1, true).has_value());
  EXPECT_EQ(compaction.Look(now + minutes(5), 1000, -1, true), 900);
  EXPECT_FALSE(compaction.Look(now + minutes(10), 1000, 900, true).has_value()) << "nothing new";
  EXPECT_FALSE(compaction.Look(now + minutes(15), 1200, 900, false).has_value());
  EXPECT_EQ(compaction.Look(now + minutes(20), 1200, 900, true), 1100);
  EXPECT_FALSE(compaction.Look(now + minutes(25), 90, -1, true).has_value());
}

// Where leadership moves about, it is seldom with a member when that one's five minutes are over.
TEST(AutoCompactionTest, WhatBecameDueElsewhereIsDoneByTheNextLeader) {
  AutoCompaction compaction(*ParseAutoCompaction("revision", "100"));
  base::TimePoint now{};
  EXPECT_FALSE(compaction.Look(now, 1000, -1, false).has_value());
  EXPECT_FALSE(compaction.Look(now + minutes(5), 1000, -1, false).has_value());
  EXPECT_EQ(compaction.Look(now + minutes(6), 1200, -1, true), 900);
  EXPECT_FALSE(compaction.Look(now + minutes(6) + seconds(1), 1200, -1, true)) << "on its way";
  EXPECT_EQ(compaction.Look(now + minutes(7), 1200, -1, true), 900) << "it came to nothing";
  EXPECT_FALSE(compaction.Look(now + minutes(8), 1200, 900, true).has_value());
  EXPECT_FALSE(compaction.Look(now + minutes(10), 1200, 900, false).has_value());
  EXPECT_FALSE(compaction.Look(now + minutes(11), 1200, 1100, true).has_value())
      << "another did it";
}

TEST(AutoCompactionTest, APeriodKeepsWhatIsYoungerThanIt) {
  AutoCompaction compaction(*ParseAutoCompaction("periodic", "10m"));
  base::TimePoint now{};
  int64_t revision = 1;
  for (int minute = 0; minute < 10; ++minute) {
    EXPECT_FALSE(compaction.Look(now, ++revision, -1, true).has_value());
    now += minutes(1);
  }
  EXPECT_EQ(compaction.Look(now, ++revision, -1, true), 2) << "what was ten minutes ago";
  for (int minute = 1; minute < 10; ++minute) {
    now += minutes(1);
    EXPECT_FALSE(compaction.Look(now, ++revision, 2, true).has_value());
  }
  now += minutes(1);
  EXPECT_EQ(compaction.Look(now, ++revision, 2, true), 12);
}

TEST(AutoCompactionTest, ALongPeriodIsLookedAtEachHour) {
  AutoCompaction compaction(*ParseAutoCompaction("periodic", "5"));
  base::TimePoint now{};
  int64_t compacted = -1;
  int compactions = 0;
  for (int minute = 0; minute <= 8 * 60; ++minute, now += minutes(1)) {
    const auto wanted = compaction.Look(now, 10 + minute, compacted, true);
    if (!wanted.has_value()) continue;
    ++compactions;
    EXPECT_GE(minute, 5 * 60);
    EXPECT_EQ(minute % 60, 0);
    EXPECT_LE(*wanted, 10 + minute - 5 * 60);
    compacted = *wanted;
  }
  EXPECT_EQ(compactions, 4);
}

}  // namespace
}  // namespace server
