// SPDX-License-Identifier: Apache-2.0

#include "raft/node/read_table.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

class ReadTableTest : public testing::Test {
 protected:
  void Add(int64_t deadline = 100) {
    reads_.Add({Seconds(deadline), [this](ReadOutcome outcome) { ended_.push_back(outcome); }});
  }
  std::vector<ReadOutcome> Ended() {
    for (const AnswerQueue::Answer& answer : std::exchange(answers_, {})) answer();
    return std::exchange(ended_, {});
  }

  ReadTable reads_;
  std::vector<AnswerQueue::Answer> answers_;
  std::vector<ReadOutcome> ended_;
};

using Outcomes = std::vector<ReadOutcome>;

TEST_F(ReadTableTest, AReadIsServedWhenItsIndexIsApplied) {
  Add();
  Add();
  EXPECT_TRUE(reads_.has_waiting());
  reads_.Asked(ReadId(1), Seconds(1));
  EXPECT_FALSE(reads_.has_waiting());
  reads_.OnGrant({ReadId(1), true, Index(7)});
  reads_.TakeReady(Index(6), &answers_);
  EXPECT_EQ(Ended(), Outcomes{});
  reads_.TakeReady(Index(7), &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kReady, ReadOutcome::kReady}));
  EXPECT_EQ(reads_.size(), 0u);
}

TEST_F(ReadTableTest, WhatIsNotGrantedIsAskedAgain) {
  Add();
  reads_.Asked(ReadId(1), Seconds(1));
  reads_.OnGrant({ReadId(1), false, Index(0)});
  EXPECT_TRUE(reads_.has_waiting());
  EXPECT_EQ(reads_.size(), 1u);
}

TEST_F(ReadTableTest, AnAnswerToAnOldAskIsNotHeard) {
  Add();
  reads_.Asked(ReadId(1), Seconds(1));
  reads_.AskAllAgain();
  reads_.Asked(ReadId(2), Seconds(2));
  reads_.OnGrant({ReadId(1), true, Index(1)});  // of a leader that is gone
  reads_.TakeReady(Index(100), &answers_);
  EXPECT_EQ(Ended(), Outcomes{});
  reads_.OnGrant({ReadId(2), true, Index(1)});
  reads_.TakeReady(Index(100), &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kReady}));
}

TEST_F(ReadTableTest, OnlyStaleAsksAreAskedAgain) {
  Add();
  reads_.Asked(ReadId(1), Seconds(1));
  Add();
  reads_.Asked(ReadId(2), Seconds(5));
  reads_.AskStaleAgain(Seconds(3));
  EXPECT_TRUE(reads_.has_waiting());
  reads_.OnGrant({ReadId(2), true, Index(1)});
  reads_.TakeReady(Index(1), &answers_);
  EXPECT_EQ(Ended().size(), 1u);
  EXPECT_EQ(reads_.size(), 1u);
}

TEST_F(ReadTableTest, DeadlinesHoldWhereverAReadStands) {
  Add(10);
  reads_.TakeExpired(Seconds(9), false, &answers_);
  EXPECT_EQ(Ended(), Outcomes{});
  reads_.TakeExpired(Seconds(10), false, &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kNoLeader}));
  Add(10);
  reads_.TakeExpired(Seconds(10), true, &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kTimedOut}));
  Add(10);
  reads_.Asked(ReadId(1), Seconds(1));
  reads_.TakeExpired(Seconds(10), true, &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kTimedOut}));
  Add(10);
  reads_.Asked(ReadId(2), Seconds(1));
  reads_.OnGrant({ReadId(2), true, Index(7)});
  reads_.TakeExpired(Seconds(10), true, &answers_);
  EXPECT_EQ(Ended(), (Outcomes{ReadOutcome::kTimedOut}));
  reads_.TakeReady(Index(7), &answers_);
  EXPECT_EQ(Ended(), Outcomes{});
  EXPECT_EQ(reads_.size(), 0u);
}

TEST_F(ReadTableTest, AtTheEndAllAreAnswered) {
  Add();
  reads_.Asked(ReadId(1), Seconds(1));
  reads_.OnGrant({ReadId(1), true, Index(7)});
  Add();
  reads_.Asked(ReadId(2), Seconds(1));
  Add();
  reads_.TakeAll(ReadOutcome::kStopped, &answers_);
  EXPECT_EQ(Ended(), Outcomes(3, ReadOutcome::kStopped));
}

}  // namespace
}  // namespace raft
