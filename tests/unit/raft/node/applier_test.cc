// SPDX-License-Identifier: Apache-2.0

#include "raft/node/applier.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

constexpr NodeId kSelf(1);

class ApplierTest : public testing::Test {
 protected:
  void AddPublish(uint64_t id, uint64_t term) {
    publishes_.Add(PublishId(id), Term(term), Seconds(100), [this, id](PublishOutcome outcome) {
      ended_.push_back({id, outcome.kind, outcome.result.response});
    });
  }
  void RunAnswers() {
    while (answers_.RunSome()) continue;
  }

  struct Ended {
    uint64_t id;
    PublishOutcome::Kind kind;
    std::string response;
    friend bool operator==(const Ended&, const Ended&) = default;
  };

  FakeMachine machine_;
  PublishTable publishes_;
  AnswerQueue answers_;
  Inbox inbox_{10, 1000};
  Applier applier_{kSelf, &machine_, &publishes_, &answers_, &inbox_};
  std::vector<Ended> ended_;
};

TEST_F(ApplierTest, AppliesInOrderAndReportsTheLast) {
  EXPECT_FALSE(applier_.RunOnce());
  applier_.Hand({MakeEntry(1, 1, "a"), MakeEntry(1, 2, "b")});
  applier_.Hand({MakeEntry(1, 3, "c")});
  EXPECT_TRUE(applier_.RunOnce());
  EXPECT_EQ(machine_.commands(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(machine_.in_order());
  EXPECT_EQ(machine_.batches(), 1);
  const std::vector<InboxItem> items = inbox_.TakeNow();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(std::get<Applied>(items[0]).index, Index(3));
}

TEST_F(ApplierTest, MakesBatchesOfMuch) {
  std::vector<EntryRef> entries;
  for (uint64_t index = 1; index <= 3000; ++index) entries.push_back(MakeEntry(1, index, "x"));
  applier_.Hand(std::move(entries));
  EXPECT_TRUE(applier_.RunOnce());
  EXPECT_EQ(machine_.commands().size(), 3000u);
  EXPECT_TRUE(machine_.in_order());
  EXPECT_EQ(machine_.batches(), 3);
}

TEST_F(ApplierTest, AnswersWhoWaitsHere) {
  AddPublish(7, 1);
  applier_.Hand({MakeEntry(1, 1, "mine", kSelf, PublishId(7)),
                 MakeEntry(1, 2, "another's", NodeId(2), PublishId(7)),
                 MakeEntry(1, 3, "nobody's", kSelf, PublishId(8))});
  applier_.RunOnce();
  EXPECT_TRUE(ended_.empty());  // not on the apply thread
  RunAnswers();
  EXPECT_EQ(ended_, (std::vector<Ended>{{7, PublishOutcome::Kind::kApplied, "done mine"}}));
}

// adr/0003: with the first entry of a later term, what an older one has not brought is lost.
TEST_F(ApplierTest, ALaterTermDropsWhatTheOlderDidNotBring) {
  AddPublish(1, 1);
  AddPublish(2, 1);
  AddPublish(3, 2);
  applier_.Hand({MakeEntry(1, 1, "a", kSelf, PublishId(1)), MakeEntry(2, 2)});
  applier_.RunOnce();
  RunAnswers();
  EXPECT_EQ(ended_, (std::vector<Ended>{{1, PublishOutcome::Kind::kApplied, "done a"},
                                        {2, PublishOutcome::Kind::kDropped, ""}}));
  EXPECT_TRUE(publishes_.Contains(PublishId(3)));
}

TEST_F(ApplierTest, ASnapshotComesBetweenBatches) {
  AddPublish(1, 1);
  applier_.Hand({MakeEntry(1, 1, "a")});
  applier_.Install(50);
  applier_.Hand({MakeEntry(1, 51, "b")});
  applier_.RunOnce();
  RunAnswers();
  EXPECT_TRUE(machine_.in_order());
  EXPECT_EQ(machine_.applied().index, Index(51));
  // It may lie in the snapshot or not.
  EXPECT_EQ(ended_, (std::vector<Ended>{{1, PublishOutcome::Kind::kUnknown, ""}}));
  const std::vector<InboxItem> items = inbox_.TakeNow();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(std::get<Applied>(items[0]).index, Index(1));
  const auto& installed = std::get<SnapshotInstalled>(items[1]);
  EXPECT_TRUE(installed.ok);
  EXPECT_EQ(installed.position, (LogPosition{Term(1), Index(50)}));
  EXPECT_EQ(installed.configuration.voters().size(), 3u);
  EXPECT_EQ(std::get<Applied>(items[2]).index, Index(51));
}

TEST_F(ApplierTest, ASnapshotThatFailsIsReported) {
  applier_.Install(0);
  applier_.RunOnce();
  const std::vector<InboxItem> items = inbox_.TakeNow();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_FALSE(std::get<SnapshotInstalled>(items[0]).ok);
}

TEST_F(ApplierTest, ALostStateIsReportedAndNobodyIsToldThatItWasApplied) {
  AddPublish(1, 1);
  machine_.Lose();
  applier_.Hand({MakeEntry(1, 1, "a", kSelf, PublishId(1))});
  applier_.RunOnce();
  RunAnswers();
  EXPECT_EQ(ended_, (std::vector<Ended>{{1, PublishOutcome::Kind::kUnknown, ""}}));
  const std::vector<InboxItem> items = inbox_.TakeNow();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<StateLost>(items[0]));
}

}  // namespace
}  // namespace raft
