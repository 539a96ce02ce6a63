// SPDX-License-Identifier: Apache-2.0

#include "server/introduction.h"

#include "gtest/gtest.h"

namespace server {
namespace {

using datum::peer::IntroduceRequest;
using datum::peer::IntroduceResponse;
using StartKind = StartDecision::Kind;
using LeaderKind = LeaderDecision::Kind;

const InitialCluster kInitial = {
    .cluster_id = 9,
    .self = 1,
    .members = {{1, "a", {"http://h:1"}}, {2, "b", {"http://h:2"}}, {3, "c", {"http://h:3"}}}};

IntroduceResponse Founding(uint64_t id, uint64_t cluster_id = 9) {
  IntroduceResponse answer;
  answer.set_state(IntroduceResponse::FOUNDING);
  answer.set_answerer(id);
  answer.set_cluster_id(cluster_id);
  return answer;
}

IntroduceResponse Living(IntroduceResponse::Outcome outcome) {
  IntroduceResponse answer;
  answer.set_state(IntroduceResponse::LIVING);
  answer.set_outcome(outcome);
  answer.set_why("because");
  return answer;
}

TEST(IntroductionTest, AQuorumThatHasPromisedNothingFounds) {
  EXPECT_EQ(DecideStart(true, kInitial, {}).kind, StartKind::kWait);
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(2)}).kind, StartKind::kFound);
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(1)}).kind, StartKind::kWait) << "itself, again";
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(7)}).kind, StartKind::kWait) << "a stranger";
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(2, 8)}).kind, StartKind::kWait)
      << "of another cluster";
  EXPECT_EQ(DecideStart(false, kInitial, {Founding(2), Founding(3)}).kind, StartKind::kWait)
      << "who joins founds nothing";
}

TEST(IntroductionTest, BesideALivingClusterNoneIsFounded) {
  const auto answers = {Founding(2), Living(IntroduceResponse::UNDECIDED)};
  EXPECT_EQ(DecideStart(true, kInitial, answers).kind, StartKind::kWait);
  EXPECT_EQ(DecideStart(true, kInitial, answers).why, "because");
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(2), Living(IntroduceResponse::REFUSED)}).kind,
            StartKind::kWait);
  EXPECT_EQ(DecideStart(true, kInitial, {Founding(2), Living(IntroduceResponse::BOUND)}).kind,
            StartKind::kJoin);
  EXPECT_EQ(DecideStart(false, kInitial, {Living(IntroduceResponse::REPLACED)}).kind,
            StartKind::kJoin);
}

// a founded with b. c asks: it may have founded with b, and have lost its directory since, while a
// heard nothing of the two. A cluster of a and the new c would stand beside the one of b and c.
TEST(IntroductionTest, WhoHasFoundedFoundsWithNobodyElse) {
  const std::vector<Member> founders = {
      {.id = 1, .name = "a", .peer_urls = {"http://h:1"}, .data_dir_uuid = "uuid1"},
      {.id = 2, .name = "b", .peer_urls = {"http://h:2"}, .data_dir_uuid = "uuid2"},
      {.id = 3, .name = "c", .peer_urls = {"http://h:3"}}};
  IntroduceRequest request;
  request.add_peer_urls("http://h:2");
  request.set_data_dir_uuid("uuid2");
  EXPECT_EQ(WhyNotFoundWith(founders, request), "");
  request.set_data_dir_uuid("new");
  EXPECT_NE(WhyNotFoundWith(founders, request).find("with b in another"), std::string::npos);
  request.set_peer_urls(0, "http://h:3");
  EXPECT_NE(WhyNotFoundWith(founders, request).find("without c"), std::string::npos);
  IntroduceResponse refused = Founding(2);
  refused.set_outcome(IntroduceResponse::REFUSED);
  EXPECT_EQ(DecideStart(true, kInitial, {refused}).kind, StartKind::kWait);
}

TEST(IntroductionTest, WhoWaitsIsTakenForWhatItIs) {
  IntroduceResponse answer = Founding(2);
  EXPECT_EQ(SeenAs(answer), Seen::kLives) << "it has founded, and waits for its first entry";
  answer.set_outcome(IntroduceResponse::REFUSED);
  EXPECT_EQ(SeenAs(answer), Seen::kLives) << "no leader said so";
  answer.set_waits(true);
  EXPECT_EQ(SeenAs(answer), Seen::kWaits);
  answer.set_cluster_id(0);
  EXPECT_EQ(SeenAs(answer), Seen::kJoins);
  EXPECT_EQ(SeenAs(Living(IntroduceResponse::UNDECIDED)), Seen::kLives);
  EXPECT_EQ(SeenAs(Living(IntroduceResponse::REFUSED)), Seen::kRefuses);
}

TEST(IntroductionTest, WhatHelpsIsToldAsFarAsItCan) {
  const auto says = [](const std::string& help, const std::string& part) {
    return help.find(part) != std::string::npos;
  };
  const std::string start = "start the members that are down";
  const std::string lost = "docs/operations/backup.md";
  const std::string found = "--initial-cluster-state=new";
  EXPECT_EQ(WhatHelps({{2, Seen::kLives}, {3, Seen::kDown}}, false, false), start);
  EXPECT_EQ(WhatHelps({{2, Seen::kDown}, {3, Seen::kDown}}, false, false), start);
  EXPECT_EQ(WhatHelps({{2, Seen::kLives}, {3, Seen::kLives}}, false, false), "")
      << "they elect a leader";
  EXPECT_EQ(WhatHelps({{2, Seen::kRefuses}, {3, Seen::kDown}}, false, false), start);

  const std::string two_wiped = WhatHelps({{2, Seen::kLives}, {3, Seen::kWaits}}, false, false);
  EXPECT_TRUE(says(two_wiped, lost)) << two_wiped;
  EXPECT_FALSE(says(two_wiped, start)) << two_wiped;
  const std::string silent = WhatHelps({{2, Seen::kDown}, {3, Seen::kWaits}}, false, true);
  EXPECT_TRUE(says(silent, lost) && says(silent, "empty this directory")) << silent;
  EXPECT_FALSE(says(WhatHelps({{2, Seen::kRefuses}, {3, Seen::kWaits}}, false, false), lost))
      << "there is a leader";

  const std::string all_join = WhatHelps({{2, Seen::kJoins}, {3, Seen::kJoins}}, true, false);
  EXPECT_TRUE(says(all_join, found)) << all_join;
  EXPECT_FALSE(says(all_join, start) || says(all_join, lost)) << all_join;
  EXPECT_TRUE(says(WhatHelps({{2, Seen::kJoins}, {3, Seen::kDown}}, false, false), found));
  EXPECT_FALSE(says(WhatHelps({{2, Seen::kLives}, {3, Seen::kJoins}}, true, false), found));
}

class LeaderTest : public testing::Test {
 protected:
  LeaderTest() {
    view_.cluster_id = 9;
    view_.cluster_token = "token";
    for (uint64_t id : {1, 2, 3}) {
      Member& member = view_.membership.members[id];
      member.id = id;
      member.name = std::string(1, static_cast<char>('a' + id - 1));
      member.peer_urls = {"http://h:" + std::to_string(id)};
      member.data_dir_uuid = "uuid" + std::to_string(id);
    }
    view_.connected = [this](uint64_t id) { return down_.count(id) == 0; };
    down_ = {3};
    request_.set_cluster_id(9);
    request_.set_cluster_token("token");
    request_.set_name("c");
    request_.add_peer_urls("http://h:3");
    request_.set_data_dir_uuid("new");
  }

  LeaderDecision Decide() { return DecideIntroduction(view_, request_); }

  LeaderView view_;
  std::set<uint64_t> down_;
  IntroduceRequest request_;
};

TEST_F(LeaderTest, AMemberWithoutADirectoryIsBound) {
  view_.membership.members[3].data_dir_uuid.clear();
  EXPECT_EQ(Decide().kind, LeaderKind::kBind);
  EXPECT_EQ(Decide().member_id, 3u);
  view_.membership.members[3].name.clear();
  request_.set_name("any");
  EXPECT_EQ(Decide().kind, LeaderKind::kBind) << "it was added and never started";
}

TEST_F(LeaderTest, TheSameDirectoryIsTheSameMember) {
  request_.set_data_dir_uuid("uuid3");
  EXPECT_EQ(Decide().kind, LeaderKind::kAlreadyBound);
}

TEST_F(LeaderTest, AWipedMemberIsReplacedByALearnerThatVotesLater) {
  const LeaderDecision decision = Decide();
  ASSERT_EQ(decision.kind, LeaderKind::kReplace) << decision.why;
  EXPECT_EQ(decision.member_id, 3u);
  EXPECT_NE(decision.by.id, 3u);
  EXPECT_TRUE(decision.by.is_learner);
  EXPECT_EQ(decision.by.data_dir_uuid, "new");
  EXPECT_TRUE(decision.by.votes_when_ready);
  EXPECT_TRUE(WaitsToVote(decision.by, 9));
  EXPECT_EQ(Decide().by.id, decision.by.id) << "who asks again is the same member";
  Member promoted = decision.by;
  promoted.is_learner = false;
  EXPECT_FALSE(WaitsToVote(promoted, 9));
}

TEST_F(LeaderTest, WhoIsWipedBeforeItVotesVotesInTheEnd) {
  Member& wiped = view_.membership.members[3];
  wiped.is_learner = true;
  wiped.votes_when_ready = true;
  ASSERT_EQ(Decide().kind, LeaderKind::kReplace) << Decide().why;
  EXPECT_TRUE(Decide().by.votes_when_ready) << "added as a voter";

  wiped.is_learner = false;
  wiped.votes_when_ready = false;
  const Member first = Decide().by;
  view_.membership.members.erase(3);
  view_.membership.members[first.id] = first;
  down_ = {first.id};
  request_.set_data_dir_uuid("newer");
  const LeaderDecision second = Decide();
  ASSERT_EQ(second.kind, LeaderKind::kReplace) << second.why;
  EXPECT_EQ(second.member_id, first.id);
  EXPECT_TRUE(WaitsToVote(second.by, 9)) << "wiped twice";
}

TEST_F(LeaderTest, AReplacementOfAnOlderLogVotesInTheEnd) {
  Member older = Decide().by;
  older.votes_when_ready = false;
  EXPECT_TRUE(WaitsToVote(older, 9));
  view_.membership.members.erase(3);
  view_.membership.members[older.id] = older;
  down_ = {older.id};
  request_.set_data_dir_uuid("newer");
  EXPECT_TRUE(Decide().by.votes_when_ready);
}

TEST_F(LeaderTest, AReplacementThatIsReachedElsewhereVotesInTheEnd) {
  Member moved = Decide().by;
  moved.peer_urls = {"http://h:33"};
  EXPECT_TRUE(WaitsToVote(moved, 9));
}

TEST_F(LeaderTest, ALearnerThatWasWipedLearnsOn) {
  view_.membership.members[3].is_learner = true;
  const LeaderDecision decision = Decide();
  ASSERT_EQ(decision.kind, LeaderKind::kReplace) << decision.why;
  EXPECT_FALSE(decision.by.votes_when_ready);
  EXPECT_FALSE(WaitsToVote(decision.by, 9));
}

TEST_F(LeaderTest, NobodyIsReplacedWhileHeRunsOrWithoutAQuorumOrWithTheFlagOff) {
  view_.replaces = false;
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse);
  EXPECT_NE(Decide().why.find("etcdctl member remove 3 && etcdctl member add c "
                              "--peer-urls=http://h:3"),
            std::string::npos)
      << Decide().why;
  view_.replaces = true;
  down_ = {2, 3};
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse);
  down_ = {};
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse) << "it is connected";
}

TEST_F(LeaderTest, WithoutALeaderTheCommandForLaterIsTold) {
  const std::string help = HelpWithoutLeader(view_.membership, request_);
  EXPECT_NE(help.find("etcdctl member remove 3 && etcdctl member add c --peer-urls=http://h:3"),
            std::string::npos)
      << help;
  EXPECT_NE(help.find("docs/operations/backup.md"), std::string::npos) << help;
  request_.clear_peer_urls();
  EXPECT_EQ(HelpWithoutLeader(view_.membership, request_), "");
}

TEST_F(LeaderTest, AStrangerIsToldHowToJoin) {
  request_.set_name("d");
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse) << "another name at a member's URL";
  request_.clear_peer_urls();
  request_.add_peer_urls("http://h:4");
  EXPECT_NE(Decide().why.find("etcdctl member add d --peer-urls=http://h:4"), std::string::npos);
}

TEST_F(LeaderTest, AnotherClustersFlagsAreRefused) {
  request_.set_cluster_id(8);
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse);
  EXPECT_NE(Decide().why.find("--initial-cluster-state=existing"), std::string::npos);
  request_.set_cluster_id(0);
  EXPECT_EQ(Decide().kind, LeaderKind::kReplace) << "who joins cannot say the cluster's id";
  request_.set_cluster_token("another");
  EXPECT_EQ(Decide().kind, LeaderKind::kRefuse);
}

}  // namespace
}  // namespace server
