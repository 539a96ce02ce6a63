// SPDX-License-Identifier: Apache-2.0

#include "raft/core/progress.h"

#include "gtest/gtest.h"

namespace raft {
namespace {

TEST(Progress, AnAcknowledgementFreesAllUpToIt) {
  Progress progress;
  progress.BecomeReplicate();
  progress.Sent(Index(3), 30);
  progress.Sent(Index(5), 20);
  progress.Sent(Index(9), 40);
  EXPECT_EQ(progress.in_flight_bytes, 90u);
  progress.Acknowledged(Index(4));  // within a message: it is not yet whole
  EXPECT_EQ(progress.in_flight_bytes, 60u);
  progress.Acknowledged(Index(2));  // late
  EXPECT_EQ(progress.in_flight_bytes, 60u);
  progress.Acknowledged(Index(9));
  EXPECT_TRUE(progress.in_flight.empty());
  EXPECT_EQ(progress.in_flight_bytes, 0u);
}

TEST(Progress, AProbeBeginsBehindWhatIsKnown) {
  Progress progress;
  progress.BecomeReplicate();
  progress.match_index = Index(4);
  progress.next_index = Index(10);
  progress.Sent(Index(9), 50);
  progress.BecomeProbe();
  EXPECT_EQ(progress.state, Progress::State::kProbe);
  EXPECT_EQ(progress.next_index, Index(5));
  EXPECT_TRUE(progress.in_flight.empty());
  EXPECT_EQ(progress.in_flight_bytes, 0u);
}

TEST(Progress, ANewLifeOfThePeerHasProvenNothing) {
  Progress progress;
  progress.BecomeReplicate();
  progress.match_index = Index(4);
  progress.next_index = Index(10);
  progress.confirmed_round = ReadRound(3);
  progress.BeginSession(Session(2));
  EXPECT_EQ(progress.session, Session(2));
  EXPECT_EQ(progress.match_index, Index(0));
  EXPECT_EQ(progress.confirmed_round, ReadRound(0));
  EXPECT_EQ(progress.state, Progress::State::kProbe);
  EXPECT_EQ(progress.next_index, Index(10));  // where to ask first; a rejection moves it
}

}  // namespace
}  // namespace raft
