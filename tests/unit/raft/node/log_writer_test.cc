// SPDX-License-Identifier: Apache-2.0

#include "raft/node/log_writer.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

using Lines = std::vector<std::string>;

class LogWriterTest : public testing::Test {
 protected:
  static Effects WriteOf(uint64_t number, std::vector<EntryRef> append) {
    Effects effects;
    effects.write = WriteNumber(number);
    effects.append = std::move(append);
    return effects;
  }

  // The number that was reported as persisted; 0 if none was.
  uint64_t Reported() {
    uint64_t number = 0;
    for (const InboxItem& item : inbox_.TakeNow()) {
      const WriteNumber write = std::get<Persisted>(item).write;
      EXPECT_GT(write.value(), number);
      number = write.value();
    }
    return number;
  }

  Journal journal_;
  FakeLog log_{&journal_};
  FakePromises promises_{&journal_};
  FakeTransport transport_{&journal_};
  Sender sender_{&transport_};
  Inbox inbox_{10, 1 << 20};
  LogWriter writer_{&log_, &promises_, &sender_, &inbox_};
};

TEST_F(LogWriterTest, DoesNothingIfNothingWaits) {
  EXPECT_FALSE(writer_.RunOnce());
  Effects empty;
  writer_.Write(&empty);
  EXPECT_FALSE(writer_.RunOnce());
  EXPECT_TRUE(journal_.Take().empty());
}

TEST_F(LogWriterTest, PromiseThenEntriesThenSyncThenMessages) {
  Effects effects = WriteOf(1, {MakeEntry(2, 1)});
  effects.hard_state = HardState{Term(2), NodeId(3)};
  effects.send_after_persist.push_back(
      {NodeId(1), NodeId(3), Term(2), Session(1), AppendEntriesReply{true, Index(1), {}, {}}});
  writer_.Write(&effects);
  EXPECT_TRUE(inbox_.TakeNow().empty());
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(),
            (Lines{"promise t2 v3", "append 2/1", "sync", "send AppendEntriesReply to 3"}));
  EXPECT_EQ(Reported(), 1u);
}

TEST_F(LogWriterTest, WhatWaitsTogetherIsOneAppendAndOneSync) {
  for (uint64_t number = 1; number <= 20; ++number) {
    Effects effects = WriteOf(number, {MakeEntry(1, number)});
    writer_.Write(&effects);
  }
  EXPECT_TRUE(writer_.RunOnce());
  const Lines done = journal_.Take();
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0].substr(0, 18), "append 1/1 1/2 1/3");
  EXPECT_EQ(done[1], "sync");
  EXPECT_EQ(Reported(), 20u);  // one report for all, of the last
  EXPECT_FALSE(writer_.RunOnce());
}

TEST_F(LogWriterTest, OnlyTheLastHardStateIsWritten) {
  for (uint64_t term = 1; term <= 3; ++term) {
    Effects effects = WriteOf(term, {});
    effects.hard_state = HardState{Term(term), std::nullopt};
    writer_.Write(&effects);
  }
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(), (Lines{"promise t3 v0"}));
  EXPECT_EQ(Reported(), 3u);
}

TEST_F(LogWriterTest, EntriesThatALaterWriteReplacesAreNotWritten) {
  Effects first = WriteOf(1, {MakeEntry(1, 1), MakeEntry(1, 2), MakeEntry(1, 3)});
  Effects second = WriteOf(2, {MakeEntry(2, 2)});
  writer_.Write(&first);
  writer_.Write(&second);
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(), (Lines{"append 1/1 2/2", "sync"}));
  EXPECT_EQ(Reported(), 2u);
}

// A promise about an earlier write waits behind it, even if it brings nothing to write itself.
TEST_F(LogWriterTest, MessagesKeepTheirOrderBehindTheWrites) {
  Effects first = WriteOf(1, {MakeEntry(1, 1)});
  Effects second;
  second.send_after_persist.push_back(
      {NodeId(1), NodeId(2), Term(1), Session(1), HeartbeatReply{}});
  writer_.Write(&first);
  writer_.Write(&second);
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(), (Lines{"append 1/1", "sync", "send HeartbeatReply to 2"}));
  EXPECT_EQ(Reported(), 1u);

  Effects third;
  third.send_after_persist.push_back({NodeId(1), NodeId(2), Term(1), Session(1), HeartbeatReply{}});
  writer_.Write(&third);
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(), (Lines{"send HeartbeatReply to 2"}));  // and no sync for it
  EXPECT_EQ(Reported(), 0u);
}

TEST_F(LogWriterTest, TheLogIsRestartedAfterThePromiseAndBeforeWhatFollows) {
  Effects before = WriteOf(1, {MakeEntry(2, 5)});
  Effects restart = WriteOf(2, {MakeEntry(3, 101)});
  restart.hard_state = HardState{Term(3), std::nullopt};
  restart.restart_log = LogPosition{Term(2), Index(100)};
  restart.log_settled = restart.restart_log;
  Effects after = WriteOf(3, {MakeEntry(3, 102)});
  for (Effects* effects : {&before, &restart, &after}) writer_.Write(effects);
  EXPECT_TRUE(writer_.RunOnce());
  // What came before the restart need not be written at all.
  EXPECT_EQ(journal_.Take(),
            (Lines{"promise t3 v0", "restart 2/100", "append 3/101 3/102", "sync", "settled 100"}));
  EXPECT_EQ(Reported(), 3u);
}

TEST_F(LogWriterTest, WhatIsNotNeededIsReleasedAfterwards) {
  Effects effects = WriteOf(1, {MakeEntry(1, 1), MakeEntry(1, 2)});
  effects.release_log = Index(1);
  writer_.Write(&effects);
  EXPECT_TRUE(writer_.RunOnce());
  EXPECT_EQ(journal_.Take(), (Lines{"append 1/1 1/2", "sync", "release 1"}));
  const std::vector<InboxItem> items = inbox_.TakeNow();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(std::get<LogReleased>(items[1]).base, (LogPosition{Term(1), Index(1)}));
}

}  // namespace
}  // namespace raft
