// SPDX-License-Identifier: Apache-2.0

#include "server/answer_memory.h"

#include "gtest/gtest.h"

namespace server {
namespace {

using std::chrono::seconds;

TEST(AnswerMemoryTest, WhoIsInMayGrowAndWhoIsNotWaits) {
  AnswerMemory memory(100, 10);
  auto first = memory.NewClaim();
  EXPECT_TRUE(first->Grow(60));
  auto second = memory.NewClaim();
  EXPECT_TRUE(second->Grow(50)) << "there was room";
  EXPECT_TRUE(second->Grow(70)) << "it is in already";
  EXPECT_EQ(memory.bytes(), 130u);
  auto third = memory.NewClaim();
  EXPECT_FALSE(third->Grow(1));
  int room = 0, refused = 0;
  memory.Wait(base::TimePoint(seconds(5)), [&](bool found) { ++(found ? room : refused); });
  memory.Look(base::TimePoint(seconds(1)));
  EXPECT_EQ(room + refused, 0);
  second.reset();
  EXPECT_EQ(room, 1);
  EXPECT_TRUE(third->Grow(10));
  first.reset();
  third.reset();
  EXPECT_EQ(memory.bytes(), 0u);
}

TEST(AnswerMemoryTest, WhatATakerDoesNotNeedIsForOthers) {
  AnswerMemory memory(100, 1);
  auto first = memory.NewClaim();
  ASSERT_TRUE(first->Grow(120));
  auto second = memory.NewClaim();
  EXPECT_FALSE(second->Grow(1));
  first->Shrink(40);
  EXPECT_EQ(memory.bytes(), 40u);
  EXPECT_TRUE(second->Grow(1));
  first->Shrink(50);
  first.reset();
  EXPECT_EQ(memory.bytes(), 1u);
}

TEST(AnswerMemoryTest, WhoWaitsTooLongOrBehindTooManyIsRefused) {
  AnswerMemory memory(100, 1);
  auto full = memory.NewClaim();
  EXPECT_TRUE(full->Grow(100));
  int refused = 0;
  const auto retry = [&](bool found) { refused += found ? 0 : 1; };
  memory.Wait(base::TimePoint(seconds(5)), retry);
  memory.Wait(base::TimePoint(seconds(5)), retry);
  EXPECT_EQ(refused, 1) << "the second found the queue full";
  memory.Look(base::TimePoint(seconds(4)));
  EXPECT_EQ(refused, 1);
  memory.Look(base::TimePoint(seconds(5)));
  EXPECT_EQ(refused, 2);
}

TEST(AnswerMemoryTest, OneThatNeededNothingLeavesNobodyBehind) {
  AnswerMemory memory(100, 10);
  auto full = memory.NewClaim();
  EXPECT_TRUE(full->Grow(100));
  int room = 0;
  for (int i = 0; i < 5; ++i) {
    memory.Wait(base::TimePoint(seconds(5)), [&](bool found) { room += found ? 1 : 0; });
  }
  full.reset();
  EXPECT_EQ(room, 2) << "as many as read at a time";
  memory.Look(base::TimePoint(seconds(1)));
  memory.Look(base::TimePoint(seconds(1)));
  EXPECT_EQ(room, 5);
}

}  // namespace
}  // namespace server
