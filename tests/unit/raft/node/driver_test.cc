// SPDX-License-Identifier: Apache-2.0
//
// The driver with its log writer, applier and tables: what becomes of publishes and reads.

#include "raft/node/driver.h"

#include <optional>

#include "gtest/gtest.h"
#include "tests/unit/raft/node/virtual_cluster.h"

namespace raft {
namespace {

using Kind = PublishOutcome::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What came of one call; it must end exactly once.
template <typename Outcome>
struct Ending {
  std::optional<Outcome> outcome;
  int times = 0;
};
using PublishEnding = std::shared_ptr<Ending<PublishOutcome>>;
using ReadEnding = std::shared_ptr<Ending<ReadOutcome>>;

PublishEnding PublishOn(VirtualCluster* cluster, NodeId member, std::string command,
                        base::Duration patience = seconds(60)) {
  auto ending = std::make_shared<Ending<PublishOutcome>>();
  WaitingPublish publish{std::move(command), cluster->now() + patience,
                         [ending](PublishOutcome outcome) {
                           ending->outcome = std::move(outcome);
                           ++ending->times;
                         }};
  EXPECT_TRUE(cluster->at(member).inbox.TryPush(&publish));
  return ending;
}

ReadEnding ReadOn(VirtualCluster* cluster, NodeId member, base::Duration patience = seconds(60)) {
  auto ending = std::make_shared<Ending<ReadOutcome>>();
  WaitingRead read{cluster->now() + patience, [ending](ReadOutcome outcome) {
                     ending->outcome = outcome;
                     ++ending->times;
                   }};
  EXPECT_TRUE(cluster->at(member).inbox.TryPush(&read));
  return ending;
}

void ExpectEnd(const PublishEnding& ending, Kind kind) {
  ASSERT_EQ(ending->times, 1);
  EXPECT_EQ(ending->outcome->kind, kind);
}

void ExpectEnd(const ReadEnding& ending, ReadOutcome outcome) {
  ASSERT_EQ(ending->times, 1);
  EXPECT_EQ(*ending->outcome, outcome);
}

NodeId Other(NodeId leader, uint64_t which = 1) {
  return NodeId((leader.value() - 1 + which) % 3 + 1);
}

TEST(Driver, APublishOnAnyMemberIsAppliedOnAllAndAnsweredWhereItCameIn) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  const PublishEnding on_leader = PublishOn(&cluster, leader, "a");
  cluster.Settle();
  const PublishEnding on_follower = PublishOn(&cluster, Other(leader), "b");
  cluster.Settle();
  // The follower answers once it has applied it, and learns of the commit by the next message.
  cluster.Run(milliseconds(300));
  ExpectEnd(on_leader, Kind::kApplied);
  EXPECT_EQ(on_leader->outcome->result.response, "done a");
  ExpectEnd(on_follower, Kind::kApplied);
  EXPECT_EQ(on_follower->outcome->result.response, "done b");
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.at(NodeId(id)).machine.commands(), (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(cluster.at(NodeId(id)).machine.in_order());
  }
}

TEST(Driver, WhatWaitsTogetherIsSyncedTogether) {
  VirtualCluster cluster(1);
  const NodeId leader = cluster.AwaitLeader();
  cluster.at(leader).journal.Take();
  std::vector<PublishEnding> endings;
  for (int i = 0; i < 50; ++i) endings.push_back(PublishOn(&cluster, leader, "x"));
  cluster.Settle();
  const std::vector<std::string> done = cluster.at(leader).journal.Take();
  EXPECT_EQ(std::count(done.begin(), done.end(), "sync"), 1);
  for (const PublishEnding& ending : endings) ExpectEnd(ending, Kind::kApplied);
}

TEST(Driver, WithoutALeaderAPublishWaitsForOneUntilItsDeadline) {
  VirtualCluster cluster(3);
  const PublishEnding early = PublishOn(&cluster, NodeId(1), "early");
  const NodeId leader = cluster.AwaitLeader();
  cluster.Run(milliseconds(300));
  ExpectEnd(early, Kind::kApplied);

  cluster.CutOff(leader);
  cluster.CutOff(Other(leader));
  cluster.Run(seconds(5));
  const PublishEnding alone = PublishOn(&cluster, Other(leader, 2), "alone", seconds(1));
  const ReadEnding read = ReadOn(&cluster, Other(leader, 2), seconds(1));
  cluster.Run(seconds(2));
  ExpectEnd(alone, Kind::kNoLeader);
  ExpectEnd(read, ReadOutcome::kNoLeader);
}

TEST(Driver, AnOutcomeThatIsNotKnownAtTheDeadlineIsUnknown) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  cluster.CutOff(leader);
  const PublishEnding lost = PublishOn(&cluster, leader, "x", milliseconds(200));
  const ReadEnding read = ReadOn(&cluster, leader, milliseconds(200));
  cluster.Run(milliseconds(400));  // it has not noticed yet that it leads nobody
  ExpectEnd(lost, Kind::kUnknown);
  ExpectEnd(read, ReadOutcome::kTimedOut);
}

TEST(Driver, WhatWasLostWithItsLeaderIsCalledDropped) {
  VirtualCluster cluster(3);
  const NodeId old_leader = cluster.AwaitLeader();
  cluster.CutOff(old_leader);
  const PublishEnding lost = PublishOn(&cluster, old_leader, "lost");
  cluster.Run(milliseconds(100));
  EXPECT_EQ(lost->times, 0);
  const NodeId new_leader = cluster.AwaitLeader();
  ASSERT_NE(new_leader, old_leader);
  const PublishEnding kept = PublishOn(&cluster, new_leader, "kept");
  cluster.Run(milliseconds(300));
  ExpectEnd(kept, Kind::kApplied);
  cluster.Heal();
  cluster.Run(seconds(5));
  ExpectEnd(lost, Kind::kDropped);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.at(NodeId(id)).machine.commands(), (std::vector<std::string>{"kept"}));
  }
}

TEST(Driver, AReadOnAnyMemberIsServedWhenItsStateIsThere) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  const PublishEnding publish = PublishOn(&cluster, leader, "a");
  cluster.Settle();
  ExpectEnd(publish, Kind::kApplied);
  const ReadEnding on_leader = ReadOn(&cluster, leader);
  const ReadEnding on_follower = ReadOn(&cluster, Other(leader));
  cluster.Run(milliseconds(300));
  ExpectEnd(on_leader, ReadOutcome::kReady);
  ExpectEnd(on_follower, ReadOutcome::kReady);
  EXPECT_EQ(cluster.at(Other(leader)).machine.commands().size(), 1u);
}

TEST(Driver, AReadIsAskedAgainOfTheNextLeader) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  cluster.CutOff(leader);
  const ReadEnding read = ReadOn(&cluster, Other(leader));
  cluster.Run(milliseconds(200));
  EXPECT_EQ(read->times, 0);
  cluster.AwaitLeader();
  cluster.Run(milliseconds(500));
  ExpectEnd(read, ReadOutcome::kReady);
}

TEST(Driver, RefusesPublishesBeyondItsBound) {
  NodeOptions options;
  options.inbox_publishes_max = 5;
  VirtualCluster cluster(3, options);
  std::vector<PublishEnding> endings;
  for (int round = 0; round < 4; ++round) {  // no leader yet: all of them are held
    for (int i = 0; i < 2; ++i) endings.push_back(PublishOn(&cluster, NodeId(1), "x"));
    cluster.at(NodeId(1)).Turn(cluster.now());
  }
  int refused = 0;
  for (const PublishEnding& ending : endings) {
    if (ending->times == 1 && ending->outcome->kind == Kind::kRefused) ++refused;
  }
  EXPECT_EQ(refused, 3);
}

TEST(Driver, AtItsEndEverythingIsAnswered) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  cluster.CutOff(leader);
  VirtualMember& member = cluster.at(leader);
  const PublishEnding proposed = PublishOn(&cluster, leader, "proposed");
  const ReadEnding read = ReadOn(&cluster, leader);
  member.Turn(cluster.now());
  const PublishEnding in_inbox = PublishOn(&cluster, leader, "not looked at");
  const ReadEnding read_in_inbox = ReadOn(&cluster, leader);
  member.driver.StopAll();
  while (member.answers.RunSome() || member.reads.RunSome()) continue;
  ExpectEnd(proposed, Kind::kUnknown);
  ExpectEnd(read, ReadOutcome::kStopped);
  ExpectEnd(in_inbox, Kind::kDropped);
  ExpectEnd(read_in_inbox, ReadOutcome::kStopped);
}

// A paused machine elects nobody when it goes on, and its disk was not slow.
TEST(Driver, ThePauseOfAMachineIsNobodysSilence) {
  NodeOptions options;
  options.disk_stall_max = seconds(20);
  VirtualCluster cluster(3, options);
  const NodeId leader = cluster.AwaitLeader();
  const Term term = cluster.at(leader).driver.core().current_term();
  for (int i = 0; i < 5; ++i) {
    cluster.Run(milliseconds(700));
    const PublishEnding under_way = PublishOn(&cluster, leader, "a");
    cluster.at(leader).driver.RunOnce(cluster.now());  // its write is asked for, not done
    cluster.StandStill(seconds(30));
    cluster.Run(seconds(3));
    ExpectEnd(under_way, Kind::kApplied);
    for (uint64_t id = 1; id <= 3; ++id) {
      EXPECT_EQ(cluster.at(NodeId(id)).driver.core().current_term(), term);
      EXPECT_EQ(cluster.at(NodeId(id)).driver.core().leader(), leader);
    }
  }
}

// Who never comes on time, for want of a processor, still stands when there is no leader.
TEST(Driver, WhoIsAlwaysLateStandsAllTheSame) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  const Term term = cluster.at(leader).driver.core().current_term();
  cluster.CutOff(leader);
  for (int i = 0; i < 40; ++i) {
    cluster.StandStill(milliseconds(400));
    cluster.Settle();
  }
  EXPECT_GT(cluster.at(Other(leader)).driver.core().current_term(), term);
}

TEST(Driver, TellsItsStatus) {
  VirtualCluster cluster(3);
  const NodeId leader = cluster.AwaitLeader();
  const NodeStatus status = cluster.at(leader).driver.status();
  EXPECT_EQ(status.role, Role::kLeader);
  EXPECT_EQ(status.leader, leader);
  EXPECT_EQ(status.self, leader);
  EXPECT_EQ(status.commit_index, status.applied_index);
  EXPECT_GE(status.commit_index, Index(1));
  ASSERT_FALSE(cluster.at(leader).statuses.empty());
  EXPECT_EQ(cluster.at(leader).statuses.back().role, Role::kLeader);
  cluster.CutOff(leader);
  cluster.Run(seconds(5));
  EXPECT_EQ(cluster.at(leader).driver.status().leader, kNobody);
  EXPECT_GT(cluster.at(leader).driver.status().leader_lost_at, status.leader_lost_at);
}

}  // namespace
}  // namespace raft
