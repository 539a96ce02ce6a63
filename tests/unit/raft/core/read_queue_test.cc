// SPDX-License-Identifier: Apache-2.0

#include "raft/core/read_queue.h"

#include "gtest/gtest.h"

namespace raft {
namespace {

TEST(ReadQueue, ReadsThatWaitShareARound) {
  ReadQueue reads;
  reads.Add({NodeId(1), ReadId(11)});
  reads.Add({NodeId(2), ReadId(12)});
  EXPECT_FALSE(reads.in_flight());
  reads.StartRound(Index(7));
  EXPECT_TRUE(reads.in_flight());
  EXPECT_FALSE(reads.has_waiting());
  EXPECT_EQ(reads.read_index(), Index(7));
  const auto finished = reads.FinishRound();
  ASSERT_EQ(finished.size(), 2u);
  EXPECT_EQ(finished[0].id, ReadId(11));
  EXPECT_EQ(finished[1].from, NodeId(2));
  EXPECT_FALSE(reads.in_flight());
}

TEST(ReadQueue, WhoComesDuringARoundWaitsForTheNext) {
  ReadQueue reads;
  reads.Add({NodeId(1), ReadId(11)});
  reads.StartRound(Index(7));
  const ReadRound first = reads.round();
  reads.Add({NodeId(1), ReadId(12)});
  EXPECT_TRUE(reads.has_waiting());
  EXPECT_EQ(reads.FinishRound().front().id, ReadId(11));
  reads.StartRound(Index(9));
  EXPECT_GT(reads.round(), first);  // an id is never used again
  EXPECT_EQ(reads.FinishRound().front().id, ReadId(12));
}

TEST(ReadQueue, AllAreGivenUpWithTheLeadership) {
  ReadQueue reads;
  reads.Add({NodeId(1), ReadId(11)});
  reads.StartRound(Index(7));
  reads.Add({NodeId(1), ReadId(12)});
  EXPECT_EQ(reads.Abandon().size(), 2u);
  EXPECT_FALSE(reads.in_flight());
  EXPECT_FALSE(reads.has_waiting());
}

}  // namespace
}  // namespace raft
