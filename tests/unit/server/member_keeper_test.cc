// SPDX-License-Identifier: Apache-2.0

#include "server/member_keeper.h"

#include "gtest/gtest.h"
#include "proto/membership_change.pb.h"
#include "tests/unit/server/services_fixture.h"

namespace server {
namespace {

constexpr base::Duration kTurn = std::chrono::milliseconds(300);

// Member 1 of three voters looks after them, and leads.
class MemberKeeperTest : public testing::Test {
 protected:
  MemberKeeperTest() {
    for (uint64_t id : {1, 2, 3}) Add(id);
    state_.known.index = raft::Index(7);
    replica_.node.self = raft::NodeId(1);
    replica_.node.leader = raft::NodeId(1);
    replica_.outcome.kind = PublishOutcome::Kind::kLearnerNotReady;
  }

  Member& Add(uint64_t id) {
    Member& member = state_.known.members[id];
    member.id = id;
    member.name = "m" + std::to_string(id);
    member.peer_urls = {"http://h:" + std::to_string(id)};
    member.data_dir_uuid = "uuid" + std::to_string(id);
    heard_[id] = member.data_dir_uuid;
    connected_.insert(id);
    return member;
  }

  Member& AddThatWaits(uint64_t id) {
    Member& member = Add(id);
    member.is_learner = true;
    member.votes_when_ready = true;
    return member;
  }

  void LoseSightOf(uint64_t id) {
    heard_.erase(id);
    connected_.erase(id);
  }

  MemberKeeper::Parts Parts() {
    return {.replica = &replica_,
            .state = &state_,
            .changer = &changer_,
            .book = &book_,
            .transfers = &transfers_,
            .clock = &clock_,
            .identity = {.cluster_id = 9, .self = 1, .data_dir_uuid = "uuid1", .peer_urls = {}},
            .set_peers = [](const auto&) {},
            .connected = [this](uint64_t id) { return connected_.count(id) > 0; },
            .speaks_from = [this](uint64_t id) -> std::optional<std::string> {
              const auto found = heard_.find(id);
              if (found == heard_.end()) return std::nullopt;
              return found->second;
            },
            .on_configuration = [](const Membership&) {},
            .on_removed = [](const std::string&) {}};
  }

  // What is tried in so many turns.
  std::vector<datum::membership::MembershipChange> Tried(int turns) {
    replica_.changes.clear();
    for (int turn = 0; turn < turns; ++turn) {
      keeper_.Look(clock_.now);
      clock_.now += kTurn;
    }
    std::vector<datum::membership::MembershipChange> tried;
    for (const auto& [command, based_on] : replica_.changes) {
      const auto decoded = raft::DecodeConfigurationCommand(command);
      tried.emplace_back();
      EXPECT_TRUE(tried.back().ParseFromString(std::string(decoded->payload)));
    }
    return tried;
  }

  std::set<uint64_t> Promoted(int turns) {
    std::set<uint64_t> promoted;
    for (const auto& change : Tried(turns)) promoted.insert(change.promote());
    return promoted;
  }

  // What is logged in so many turns.
  std::string Said(int turns) {
    testing::internal::CaptureStderr();
    Tried(turns);
    return testing::internal::GetCapturedStderr();
  }

  FakeClock clock_;
  FakeReplica replica_;
  FakeState state_;
  ConfigurationChanger changer_{&replica_, &state_, &clock_};
  PeerBook book_{1, {}};
  Transfers transfers_;
  std::map<uint64_t, std::string> heard_;
  std::set<uint64_t> connected_;
  MemberKeeper keeper_{"m1", Parts()};
};

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(MemberKeeperTest, NothingIsChangedAboutMembersThatAreWell) {
  Add(4).is_learner = true;
  EXPECT_TRUE(Tried(3).empty());
}

TEST_F(MemberKeeperTest, OnlyTheLeaderPromotes) {
  AddThatWaits(4);
  replica_.node.leader = raft::NodeId(2);
  EXPECT_TRUE(Tried(3).empty());
  replica_.node.leader = raft::NodeId(1);
  EXPECT_EQ(Promoted(1), std::set<uint64_t>{4});
}

TEST_F(MemberKeeperTest, OneThatLagsHoldsUpNoOther) {
  AddThatWaits(4);
  AddThatWaits(5);
  EXPECT_EQ(Promoted(2), (std::set<uint64_t>{4, 5}));
  EXPECT_EQ(Promoted(2), (std::set<uint64_t>{4, 5})) << "and again";
}

TEST_F(MemberKeeperTest, OneThatIsAwayOrNotStartedIsNotTried) {
  AddThatWaits(4);
  AddThatWaits(5);
  AddThatWaits(6).name = "";
  LoseSightOf(4);
  EXPECT_EQ(Promoted(4), std::set<uint64_t>{5});
  heard_[4] = "uuid4";
  EXPECT_EQ(Promoted(4), std::set<uint64_t>{5}) << "it hears nobody";
  connected_.insert(4);
  EXPECT_EQ(Promoted(4), (std::set<uint64_t>{4, 5}));
}

TEST_F(MemberKeeperTest, OneThatCannotBeBoundHoldsUpNoOther) {
  Add(4).data_dir_uuid = "";
  Add(5).data_dir_uuid = "";
  AddThatWaits(6);
  std::set<uint64_t> bound;
  std::set<uint64_t> promoted;
  for (const auto& change : Tried(3)) {
    (change.has_bind() ? bound : promoted)
        .insert(change.has_bind() ? change.bind().id() : change.promote());
  }
  EXPECT_EQ(bound, (std::set<uint64_t>{4, 5}));
  EXPECT_EQ(promoted, std::set<uint64_t>{6});
}

TEST_F(MemberKeeperTest, WhoWaitsToVoteForLongIsToldOnceAndWhy) {
  AddThatWaits(4);
  AddThatWaits(5);
  LoseSightOf(5);
  AddThatWaits(6).name = "";
  EXPECT_EQ(Count(Said(20), "waits to vote"), 0u) << "not at once";
  const std::string said = Said(60);
  EXPECT_EQ(Count(said, "waits to vote"), 3u) << said;
  EXPECT_EQ(Count(said, "m4 (4) is a learner that waits to vote: its log is not near"), 1u) << said;
  EXPECT_EQ(Count(said, "m5 (5) is a learner that waits to vote: it is not heard"), 1u) << said;
  EXPECT_EQ(Count(said, "(6) is a learner that waits to vote: it has not been started"), 1u)
      << said;
}

TEST_F(MemberKeeperTest, OnlyAVoterSaysThatItVotes) {
  replica_.node.doubtful = true;
  EXPECT_EQ(Count(Said(2), "it does not vote"), 1u);
  replica_.node.doubtful = false;
  EXPECT_EQ(Count(Said(2), "it votes"), 1u);
  replica_.node.doubtful = true;
  Said(2);
  replica_.node.doubtful = false;
  replica_.node.is_learner = true;
  const std::string said = Said(2);
  EXPECT_EQ(Count(said, "lacks no entry"), 1u) << said;
  EXPECT_EQ(Count(said, "it votes"), 0u) << said;
}

}  // namespace
}  // namespace server
