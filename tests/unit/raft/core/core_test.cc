// SPDX-License-Identifier: Apache-2.0
//
// Single steps of the core. What several members do together is in tests/interaction and in
// tests/simulation.

#include "raft/core/core.h"

#include "gtest/gtest.h"

namespace raft {
namespace {

constexpr NodeId kSelf(1);
constexpr NodeId kPeer(2);
constexpr NodeId kOther(3);

EntryRef MakeEntry(uint64_t term, uint64_t index) {
  auto entry = std::make_shared<Entry>();
  entry->term = Term(term);
  entry->index = Index(index);
  return entry;
}

class CoreTest : public testing::Test {
 protected:
  Core MakeCore(std::vector<NodeId> voters, CoreStart start = {}) {
    CoreOptions options;
    options.session = Session(1);
    options.self = kSelf;
    options.configuration = Configuration(std::move(voters));
    options.random_seed = 7;
    return Core(options, std::move(start), now_);
  }

  // One step, with all invariants before and after it.
  Effects Step(Core* core, Event event) {
    const CoreView before = CoreView::Of(*core);
    Effects effects;
    core->Step(now_, std::move(event), &effects);
    CheckInvariants(*core);
    CheckStep(before, CoreView::Of(*core), effects);
    return effects;
  }

  Effects PastLeaderDue(Core* core) {
    now_ = core->next_due();
    return Step(core, Tick{});
  }

  static Envelope From(NodeId from, uint64_t term, Message message) {
    return {from, kSelf, Term(term), Session(1), std::move(message)};
  }

  base::TimePoint now_ = base::TimePoint(std::chrono::seconds(100));
};

TEST_F(CoreTest, ASingleVoterLeadsWithoutWaiting) {
  Core core = MakeCore({kSelf});
  EXPECT_EQ(core.next_due(), now_);

  // ElectionTask: nobody else is to be asked, but its own vote must be durable first.
  Effects effects = Step(&core, Tick{});
  EXPECT_EQ(core.role(), Role::kCandidate);
  ASSERT_TRUE(effects.hard_state.has_value());
  EXPECT_EQ(*effects.hard_state, (HardState{Term(1), kSelf}));
  EXPECT_TRUE(effects.send_now.empty());
  EXPECT_TRUE(effects.send_after_persist.empty());

  effects = Step(&core, Persisted{effects.write});
  EXPECT_EQ(core.role(), Role::kLeader);
  ASSERT_EQ(effects.append.size(), 1u);
  EXPECT_EQ(effects.append[0]->kind, EntryKind::kLeaderStart);
  EXPECT_EQ(core.commit_index(), Index(0));  // its own disk has not got it

  effects = Step(&core, Persisted{effects.write});
  EXPECT_EQ(core.commit_index(), Index(1));
  ASSERT_EQ(effects.apply.size(), 1u);
}

TEST_F(CoreTest, ASingleVoterCommitsWhatIsDurableAndReadsAtOnce) {
  Core core = MakeCore({kSelf});
  const Effects elected = Step(&core, Persisted{Step(&core, Tick{}).write});

  // Nothing of its own term is committed: a read waits.
  EXPECT_TRUE(Step(&core, ReadRequest{ReadId(5)}).reads.empty());
  Effects effects = Step(&core, Persisted{elected.write});
  ASSERT_EQ(effects.apply.size(), 1u);
  Step(&core, Applied{Index(1)});

  effects = Step(&core, Publish{{{PublishId(1), "a"}, {PublishId(2), "b"}}});
  ASSERT_EQ(effects.append.size(), 2u);
  EXPECT_EQ(effects.append[1]->publish_id, PublishId(2));
  EXPECT_EQ(effects.append[1]->origin, kSelf);
  EXPECT_TRUE(effects.apply.empty());

  effects = Step(&core, Persisted{effects.write});
  ASSERT_EQ(effects.apply.size(), 2u);
  EXPECT_EQ(effects.apply[0]->command, "a");

  effects = Step(&core, ReadRequest{ReadId(6)});
  ASSERT_FALSE(effects.reads.empty());
  EXPECT_EQ(effects.reads.back().id, ReadId(6));
  EXPECT_TRUE(effects.reads.back().granted);
  EXPECT_EQ(effects.reads.back().read_index, Index(3));
}

TEST_F(CoreTest, AMemberThatMayNotVoteNeverStands) {
  Core core = MakeCore({kPeer, kOther});
  EXPECT_EQ(core.next_due(), base::kForever);
  now_ += std::chrono::hours(1);
  EXPECT_TRUE(Step(&core, Tick{}).empty());
  EXPECT_EQ(core.role(), Role::kFollower);
}

TEST_F(CoreTest, LeaderDueIsOneToTwoElectionTimeouts) {
  const base::TimePoint begin = now_;
  std::set<base::TimePoint> dues;
  Core core = MakeCore({kSelf, kPeer, kOther});
  for (int i = 0; i < 50; ++i) {
    const base::TimePoint due = core.next_due();
    EXPECT_GE(due - now_, std::chrono::milliseconds(1000));
    EXPECT_LE(due - now_, std::chrono::milliseconds(2000));
    dues.insert(due);
    PastLeaderDue(&core);
  }
  EXPECT_EQ(dues.size(), 50u);
  EXPECT_GT(now_, begin);
  EXPECT_EQ(core.current_term(), Term(0));  // pre-votes raise no term
}

TEST_F(CoreTest, AVoteLeavesOnlyAfterTheDisk) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  const Effects effects = Step(&core, From(kPeer, 1, RequestVote{false, Term(1), LogPosition{}}));
  ASSERT_TRUE(effects.hard_state.has_value());
  EXPECT_EQ(*effects.hard_state, (HardState{Term(1), kPeer}));
  EXPECT_TRUE(effects.send_now.empty());
  ASSERT_EQ(effects.send_after_persist.size(), 1u);
  EXPECT_TRUE(std::get<RequestVoteReply>(effects.send_after_persist[0].message).granted);

  // Asked again by the same it says the same; by another, no.
  const Effects again = Step(&core, From(kPeer, 1, RequestVote{false, Term(1), LogPosition{}}));
  EXPECT_TRUE(std::get<RequestVoteReply>(again.send_after_persist.at(0).message).granted);
  const Effects other = Step(&core, From(kOther, 1, RequestVote{false, Term(1), LogPosition{}}));
  EXPECT_FALSE(std::get<RequestVoteReply>(other.send_after_persist.at(0).message).granted);
}

TEST_F(CoreTest, AVoteOfAnEarlierLifeHolds) {
  CoreStart start;
  start.hard_state = {Term(4), kPeer};
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  const Effects effects = Step(&core, From(kOther, 4, RequestVote{false, Term(4), LogPosition{}}));
  EXPECT_FALSE(std::get<RequestVoteReply>(effects.send_after_persist.at(0).message).granted);
  EXPECT_EQ(core.hard_state().voted_for, kPeer);
}

TEST_F(CoreTest, LettersToOthersAreNotRead) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  const RequestVote request{false, Term(9), LogPosition{}};
  EXPECT_TRUE(Step(&core, From(kSelf, 9, request)).empty());
  Envelope astray = From(kPeer, 9, request);
  astray.to = kOther;
  EXPECT_TRUE(Step(&core, astray).empty());
  EXPECT_EQ(core.current_term(), Term(0));
}

TEST_F(CoreTest, WithoutALeaderNothingIsTaken) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  Effects effects = Step(&core, Publish{{{PublishId(1), "a"}}});
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kNoLeader);
  effects = Step(&core, ReadRequest{ReadId(1)});
  ASSERT_EQ(effects.reads.size(), 1u);
  EXPECT_FALSE(effects.reads[0].granted);
}

TEST_F(CoreTest, AFollowerAcknowledgesAfterTheDiskAndAppliesWhatItHas) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  auto entry = std::make_shared<Entry>();
  entry->term = Term(1);
  entry->index = Index(1);
  Effects effects = Step(&core, From(kPeer, 1, AppendEntries{LogPosition{}, Index(1), {entry}}));
  EXPECT_EQ(effects.append.size(), 1u);
  EXPECT_TRUE(effects.apply.empty());  // committed, but not durable here
  ASSERT_EQ(effects.send_after_persist.size(), 1u);
  const auto& reply = std::get<AppendEntriesReply>(effects.send_after_persist[0].message);
  EXPECT_TRUE(reply.success);
  EXPECT_EQ(reply.match_index, Index(1));
  effects = Step(&core, Persisted{effects.write});
  EXPECT_EQ(effects.apply.size(), 1u);
}

// Entries were asked of the disk for a peer that turned out to need later ones: it gets those.
TEST_F(CoreTest, AFetchThatIsOvertakenHoldsUpNobody) {
  CoreStart start;
  start.hard_state = {Term(1), std::nullopt};
  start.log = Log({}, {{Term(1), Index(1)}}, Index(10), {});  // all of it on the disk only
  start.applied = Index(10);
  Core core = MakeCore({kSelf, kPeer}, std::move(start));
  PastLeaderDue(&core);
  Effects effects = Step(&core, From(kPeer, 1, RequestVoteReply{true, Term(2), true}));
  Step(&core, Persisted{effects.write});
  Step(&core, From(kPeer, 2, RequestVoteReply{false, Term(2), true}));
  ASSERT_EQ(core.role(), Role::kLeader);

  Step(&core, From(kPeer, 2, AppendEntriesReply{false, {}, Index(10), {Term(1), Index(4)}}));
  effects = Step(&core, From(kPeer, 2, AppendEntriesReply{true, Index(4), {}, {}}));
  ASSERT_EQ(effects.fetches.size(), 1u);
  EXPECT_EQ(effects.fetches[0].from, Index(5));
  // A late answer: the peer has up to 8.
  effects = Step(&core, From(kPeer, 2, AppendEntriesReply{true, Index(8), {}, {}}));
  ASSERT_EQ(effects.fetches.size(), 1u);
  EXPECT_EQ(effects.fetches[0].from, Index(9));

  const auto entry = [](uint64_t index) {
    auto made = std::make_shared<Entry>();
    made->term = Term(1);
    made->index = Index(index);
    return made;
  };
  EXPECT_TRUE(Step(&core, Fetched{kPeer, Index(5), {entry(5)}}).send_now.empty());
  effects = Step(&core, Fetched{kPeer, Index(9), {entry(9), entry(10)}});
  ASSERT_FALSE(effects.send_now.empty());
  EXPECT_EQ(std::get<AppendEntries>(effects.send_now[0].message).entries.size(), 2u);
}

TEST_F(CoreTest, TimeThatGoesBackIsNotHeard) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  PastLeaderDue(&core);
  const base::TimePoint due = core.next_due();
  now_ -= std::chrono::hours(1);
  EXPECT_TRUE(Step(&core, Tick{}).empty());
  EXPECT_EQ(core.next_due(), due);
}

// The leader has heard starts of this node that its directory does not know.
TEST_F(CoreTest, AnOlderCopyOfADiskIsInDoubtAndOutlived) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  Heartbeat heartbeat;
  heartbeat.heard_session = Session(1);
  EXPECT_FALSE(Step(&core, From(kPeer, 1, heartbeat)).hard_state->doubtful);
  EXPECT_FALSE(core.outlived());
  heartbeat.heard_session = Session(4);
  const Effects effects = Step(&core, From(kPeer, 1, heartbeat));
  ASSERT_TRUE(effects.hard_state.has_value());
  EXPECT_TRUE(effects.hard_state->doubtful);
  EXPECT_EQ(effects.hard_state->forgotten, Session(4));
  EXPECT_TRUE(core.outlived());
  EXPECT_FALSE(Step(&core, From(kPeer, 1, heartbeat)).hard_state.has_value()) << "once";
}

// An older copy that was started as often since as before: the same life's number twice.
TEST_F(CoreTest, AnOlderCopyOfADiskWithTheSameLifeIsOutlived) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  Heartbeat heartbeat;
  heartbeat.heard_session = Session(1);
  heartbeat.acknowledged = {Term(1), Index(3)};
  heartbeat.acknowledged_in = Session(1);
  heartbeat.leader_commit = Index(2);
  // It holds all that is committed: but the leader still counts what the other life acknowledged.
  Effects effects =
      Step(&core, From(kPeer, 1, AppendEntries{{}, Index(0), {MakeEntry(1, 1), MakeEntry(1, 2)}}));
  Step(&core, Persisted{effects.write});
  effects = Step(&core, From(kPeer, 1, heartbeat));
  EXPECT_TRUE(effects.hard_state->doubtful);
  EXPECT_TRUE(effects.acknowledged_is_gone);
  EXPECT_TRUE(core.outlived());
  Step(&core, Persisted{effects.write});
  EXPECT_TRUE(core.hard_state().doubtful) << "to the end of this life";
}

// A disk that lied about its last writes, and an older copy that was not started since.
TEST_F(CoreTest, ALogWithoutWhatAnEarlierLifeAcknowledgedIsInDoubt) {
  CoreStart start;
  start.hard_state.current_term = Term(1);
  start.log.Append(MakeEntry(1, 1));
  start.log.Append(MakeEntry(1, 2));
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  Heartbeat heartbeat;
  heartbeat.acknowledged = {Term(1), Index(2)};
  EXPECT_FALSE(Step(&core, From(kPeer, 1, heartbeat)).hard_state.has_value()) << "it has that";
  heartbeat.acknowledged = {Term(1), Index(3)};
  EXPECT_TRUE(Step(&core, From(kPeer, 1, heartbeat)).hard_state->doubtful);
  EXPECT_FALSE(core.outlived());
  // Whole up to what is committed is not enough, nor is anything before this life was heard.
  heartbeat.leader_commit = Index(2);
  Step(&core, From(kPeer, 1, AppendEntries{{Term(1), Index(2)}, Index(2), {}}));
  EXPECT_FALSE(Step(&core, From(kPeer, 1, heartbeat)).hard_state.has_value());
  heartbeat.heard_session = Session(1);
  EXPECT_FALSE(Step(&core, From(kPeer, 1, heartbeat)).hard_state.has_value());
  const Effects filled =
      Step(&core, From(kPeer, 1, AppendEntries{{Term(1), Index(2)}, Index(2), {MakeEntry(1, 3)}}));
  EXPECT_TRUE(core.hard_state().doubtful);
  Step(&core, Persisted{filled.write});
  EXPECT_FALSE(core.hard_state().doubtful) << "whole again";
}

// Under load its log is always a little behind the leader's commit index.
TEST_F(CoreTest, ALogInDoubtIsWholeThoughTheLeaderIsAhead) {
  CoreStart start;
  start.hard_state = {Term(1), std::nullopt};
  start.hard_state.doubtful = true;
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  Heartbeat heartbeat;
  heartbeat.heard_session = Session(1);
  for (uint64_t i = 1; i <= 2; ++i) {
    EXPECT_TRUE(core.hard_state().doubtful);
    heartbeat.leader_commit = Index(i + 1);
    Step(&core, From(kPeer, 1, heartbeat));
    const LogPosition before = core.log().last();
    const Effects effects =
        Step(&core, From(kPeer, 1, AppendEntries{before, Index(i + 1), {MakeEntry(1, i)}}));
    Step(&core, Persisted{effects.write});
  }
  EXPECT_FALSE(core.hard_state().doubtful) << "it holds 2, which was told first";
}

TEST_F(CoreTest, ALogInDoubtDoesNotVote) {
  CoreStart start;
  start.hard_state.current_term = Term(1);
  start.hard_state.doubtful = true;
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  const Envelope ballot = From(kOther, 2, RequestVote{false, Term(2), {Term(1), Index(9)}, true});
  const Effects effects = Step(&core, ballot);
  for (const auto& list : {effects.send_now, effects.send_after_persist}) {
    for (const Envelope& sent : list) {
      const auto* reply = std::get_if<RequestVoteReply>(&sent.message);
      EXPECT_TRUE(reply == nullptr || !reply->granted);
    }
  }
}

using CoreDeathTest = CoreTest;

TEST_F(CoreDeathTest, TwoLeadersInOneTermEndTheProcess) {
  Core core = MakeCore({kSelf, kPeer, kOther});
  Step(&core, From(kPeer, 1, Heartbeat{}));
  EXPECT_DEATH(Step(&core, From(kOther, 1, Heartbeat{})), "leader_");
}

TEST_F(CoreDeathTest, ALogAheadOfItsTermEndsTheProcess) {
  auto entry = std::make_shared<Entry>();
  entry->term = Term(3);
  entry->index = Index(1);
  CoreStart start;
  start.hard_state.current_term = Term(2);
  start.log.Append(entry);
  EXPECT_DEATH(MakeCore({kSelf}, std::move(start)), "current_term");
}

// A leader may have let go of its log before it has heard of this peer at all, and then the state
// is the first thing of its term that arrives (found by the simulator).
TEST_F(CoreTest, AStateOfALaterTermBringsItsTermWithIt) {
  CoreStart start;
  start.hard_state = {Term(7), kPeer};
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  const LogPosition position{Term(8), Index(40)};
  Effects effects = Step(&core, SnapshotArrived{position, 1});
  ASSERT_EQ(effects.staged.size(), 1u);
  EXPECT_TRUE(effects.staged[0].install);

  effects = Step(&core, SnapshotInstalled{true, position, core.configuration(), Index(1)});
  EXPECT_EQ(core.current_term(), Term(8));
  EXPECT_EQ(core.log().last(), position);
  ASSERT_TRUE(effects.hard_state.has_value());
  EXPECT_EQ(*effects.hard_state, (HardState{Term(8), std::nullopt}));
  EXPECT_EQ(effects.restart_log, position);
  EXPECT_EQ(effects.log_settled, position);
}

// A leader of three in term 1 that has committed its first entry.
class LeaderTest : public CoreTest {
 protected:
  LeaderTest() : core_(MakeCore({kSelf, kPeer, kOther})) {
    PastLeaderDue(&core_);
    Effects effects = Step(&core_, From(kPeer, 0, RequestVoteReply{true, Term(1), true}));
    Step(&core_, Persisted{effects.write});
    effects = Step(&core_, From(kPeer, 1, RequestVoteReply{false, Term(1), true}));
    Step(&core_, Persisted{effects.write});
    Acknowledge(1);
    EXPECT_EQ(core_.commit_index(), Index(1));
    Step(&core_, Applied{Index(1), {}});
  }

  void Acknowledge(uint64_t index) {
    Step(&core_, From(kPeer, 1, AppendEntriesReply{true, Index(index), {}, {}}));
  }
  // Heartbeats are answered by both; whatever else was sent is not.
  void PassWithHeartbeats(int count) {
    for (int i = 0; i < count; ++i) {
      now_ = core_.next_due();
      Step(&core_, Tick{});
      for (NodeId peer : {kPeer, kOther}) Step(&core_, From(peer, 1, HeartbeatReply{}));
    }
  }

  Core core_;
};

TEST_F(LeaderTest, WhoKnowsNoLeaderSaysSo) {
  now_ += std::chrono::seconds(10);
  while (core_.role() == Role::kLeader) {
    Step(&core_, Tick{});
    now_ = core_.next_due();
  }
  EXPECT_EQ(core_.commit_wait(), CommitWait::kNoLeader);
  Step(&core_, From(kPeer, 9, Heartbeat{}));
  EXPECT_EQ(core_.commit_wait(), CommitWait::kNone);
}

TEST_F(LeaderTest, SaysWhyCommitDoesNotMove) {
  EXPECT_EQ(core_.commit_wait(), CommitWait::kNone);
  const Effects effects = Step(&core_, Publish{{{PublishId(1), "a"}}});
  PassWithHeartbeats(5);
  EXPECT_EQ(core_.commit_wait(), CommitWait::kNone);  // for so short a time it says nothing
  PassWithHeartbeats(6);
  EXPECT_EQ(core_.commit_wait(), CommitWait::kOwnDisk);
  Step(&core_, Persisted{effects.write});
  PassWithHeartbeats(11);  // by then it has given up handing over
  EXPECT_EQ(core_.commit_wait(), CommitWait::kPeerDisk);
  Acknowledge(2);
  EXPECT_EQ(core_.commit_wait(), CommitWait::kNone);
}

// What a peer acknowledged counts no more once it was started anew, but the peer hears of it.
TEST_F(LeaderTest, RemembersWhatAnEarlierLifeOfAPeerAcknowledged) {
  const auto told = [&] {
    now_ = core_.next_due();
    for (const Envelope& sent : Step(&core_, Tick{}).send_now) {
      const auto* heartbeat = std::get_if<Heartbeat>(&sent.message);
      if (sent.to == kPeer && heartbeat != nullptr) return *heartbeat;
    }
    return Heartbeat{};
  };
  EXPECT_EQ(told().acknowledged, (LogPosition{Term(1), Index(1)}));
  Envelope anew = From(kPeer, 1, HeartbeatReply{});
  anew.session = Session(2);
  Step(&core_, anew);
  const Heartbeat heartbeat = told();
  EXPECT_EQ(heartbeat.heard_session, Session(2));
  EXPECT_EQ(heartbeat.acknowledged, (LogPosition{Term(1), Index(1)}));
  EXPECT_EQ(heartbeat.acknowledged_in, Session(1));
}

TEST_F(LeaderTest, IsToldOfTheOldestWrite) {
  EXPECT_EQ(core_.oldest_write_at(), std::nullopt);
  const base::TimePoint asked_at = now_;
  const Effects first = Step(&core_, Publish{{{PublishId(1), "a"}}});
  now_ += std::chrono::milliseconds(10);
  const Effects second = Step(&core_, Publish{{{PublishId(2), "b"}}});
  EXPECT_EQ(core_.oldest_write_at(), asked_at);
  Step(&core_, Persisted{first.write});
  EXPECT_EQ(core_.oldest_write_at(), now_);
  Step(&core_, Persisted{second.write});
  EXPECT_EQ(core_.oldest_write_at(), std::nullopt);
}

// What a returning state needs and has left memory comes from this node's own disk.
TEST_F(CoreTest, AppliesFromItsOwnDiskWhatHasLeftMemory) {
  CoreStart start;
  start.hard_state.current_term = Term(1);
  start.log = Log({}, {{Term(1), Index(1)}}, Index(4), {MakeEntry(1, 4)});
  start.state_lost = true;
  Core core = MakeCore({kSelf, kPeer, kOther}, std::move(start));
  EXPECT_EQ(core.next_due(), base::kForever);  // it does not stand without a state
  Step(&core, From(kPeer, 1, AppendEntries{{Term(1), Index(4)}, Index(4), {}}));
  EXPECT_EQ(core.commit_index(), Index(4));

  Effects effects = Step(&core, SnapshotArrived{{Term(1), Index(2)}, 9});
  ASSERT_EQ(effects.staged.size(), 1u);
  EXPECT_TRUE(effects.staged[0].install);
  effects = Step(&core, SnapshotInstalled{true, {Term(1), Index(2)}, core.configuration(), {}});
  EXPECT_TRUE(effects.apply.empty());
  ASSERT_EQ(effects.fetches.size(), 1u);
  EXPECT_EQ(effects.fetches[0].peer, kSelf);
  EXPECT_EQ(effects.fetches[0].from, Index(3));
  effects = Step(&core, Fetched{kSelf, Index(3), {MakeEntry(1, 3), MakeEntry(1, 4)}});
  ASSERT_EQ(effects.apply.size(), 2u);
  EXPECT_EQ(effects.apply[1]->index, Index(4));
}

}  // namespace
}  // namespace raft
