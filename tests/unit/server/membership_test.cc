// SPDX-License-Identifier: Apache-2.0

#include "server/membership.h"

#include "gtest/gtest.h"
#include "proto/membership_change.pb.h"
#include "server/errors.h"

namespace server {
namespace {

Member MemberOf(uint64_t id, const std::string& name, bool is_learner = false) {
  Member member;
  member.id = id;
  member.name = name;
  member.peer_urls = {"http://h:" + std::to_string(id)};
  member.is_learner = is_learner;
  member.data_dir_uuid = "uuid" + std::to_string(id);
  return member;
}

Membership Of(std::vector<Member> members) {
  Membership membership;
  for (Member& member : members) membership.members[member.id] = member;
  membership.index = raft::Index(7);
  return membership;
}

Connections AllConnectedBut(uint64_t down) {
  return {.self = 1,
          .steady = [down](uint64_t id) { return id != down; },
          .connected = [down](uint64_t id) { return id != down; }};
}

datum::membership::MembershipChange ChangeOf(const PlannedChange& planned) {
  datum::membership::MembershipChange change;
  const auto command = raft::DecodeConfigurationCommand(planned.command);
  EXPECT_TRUE(command.has_value());
  EXPECT_TRUE(change.ParseFromString(std::string(command->payload)));
  return change;
}

raft::Configuration ConfigurationOf(const PlannedChange& planned) {
  return raft::DecodeConfigurationCommand(planned.command)->configuration;
}

const Membership kThree = Of({MemberOf(1, "a"), MemberOf(2, "b"), MemberOf(3, "c")});

TEST(MembershipTest, AnAddedMemberIsInTheConfigurationAndInThePayload) {
  const auto planned = PlanAdd(kThree, MemberOf(4, "", true));
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(planned->based_on, raft::Index(7));
  EXPECT_TRUE(ConfigurationOf(*planned).IsLearner(raft::NodeId(4)));
  EXPECT_EQ(ConfigurationOf(*planned).voters().size(), 3u);
  EXPECT_EQ(ChangeOf(*planned).add().peer_urls(0), "http://h:4");
  EXPECT_TRUE(ChangeOf(*planned).add().is_learner());
}

TEST(MembershipTest, WhatCannotBeAddedIsToldInEtcdsWords) {
  Member bad = MemberOf(4, "");
  bad.peer_urls = {};
  EXPECT_EQ(PlanAdd(kThree, bad).status(), ErrorStatus(WireError::kMemberBadUrls));
  bad.peer_urls = {"no url"};
  EXPECT_EQ(PlanAdd(kThree, bad).status(), ErrorStatus(WireError::kMemberBadUrls));
  EXPECT_EQ(PlanAdd(kThree, MemberOf(3, "")).status(), ErrorStatus(WireError::kMemberExists));
  Member taken = MemberOf(4, "");
  taken.peer_urls = {"http://h:9", "http://h:2"};
  EXPECT_EQ(PlanAdd(kThree, taken).status(), ErrorStatus(WireError::kPeerUrlExists));
  Membership removed = kThree;
  removed.removed.insert(4);
  EXPECT_EQ(PlanAdd(removed, MemberOf(4, "")).status(), ErrorStatus(WireError::kMemberExists));
  const Membership learning = Of({MemberOf(1, "a"), MemberOf(2, "b", true)});
  EXPECT_EQ(PlanAdd(learning, MemberOf(4, "", true)).status(),
            ErrorStatus(WireError::kTooManyLearners));
}

TEST(MembershipTest, TheLastVoterStays) {
  EXPECT_EQ(PlanRemove(kThree, 9).status(), ErrorStatus(WireError::kMemberNotFound));
  const auto planned = PlanRemove(kThree, 2);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(ChangeOf(*planned).remove(), 2u);
  EXPECT_FALSE(ConfigurationOf(*planned).IsMember(raft::NodeId(2)));
  const Membership one = Of({MemberOf(1, "a"), MemberOf(2, "b", true)});
  EXPECT_FALSE(PlanRemove(one, 1).ok());
  EXPECT_TRUE(PlanRemove(one, 2).ok());
}

TEST(MembershipTest, UrlsOfAnotherMemberAreTaken) {
  EXPECT_EQ(PlanUpdate(kThree, 1, {"http://h:2"}).status(), ErrorStatus(WireError::kPeerUrlExists));
  EXPECT_EQ(PlanUpdate(kThree, 9, {"http://h:9"}).status(),
            ErrorStatus(WireError::kMemberNotFound));
  EXPECT_EQ(PlanUpdate(kThree, 1, {}).status(), ErrorStatus(WireError::kMemberBadUrls));
  const auto planned = PlanUpdate(kThree, 1, {"http://h:1", "http://h:9"});
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(ConfigurationOf(*planned), kThree.configuration());
  EXPECT_EQ(ChangeOf(*planned).update_peer_urls().peer_urls_size(), 2);
}

TEST(MembershipTest, OnlyALearnerIsPromoted) {
  EXPECT_EQ(PlanPromote(kThree, 2).status(), ErrorStatus(WireError::kMemberNotLearner));
  EXPECT_EQ(PlanPromote(kThree, 9).status(), ErrorStatus(WireError::kMemberNotFound));
  const Membership learning = Of({MemberOf(1, "a"), MemberOf(2, "b", true)});
  const auto planned = PlanPromote(learning, 2);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_TRUE(ConfigurationOf(*planned).IsVoter(raft::NodeId(2)));
}

TEST(MembershipTest, ADirectoryIsBoundOnce) {
  EXPECT_TRUE(PlanBind(kThree, 2, "uuid2").ok());
  EXPECT_FALSE(PlanBind(kThree, 2, "another").ok());
  Member unbound = MemberOf(4, "");
  unbound.data_dir_uuid.clear();
  const auto planned = PlanBind(Of({MemberOf(1, "a"), unbound}), 4, "new");
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(ChangeOf(*planned).bind().data_dir_uuid(), "new");
}

TEST(MembershipTest, AReplacementLeavesAndComesInOneStep) {
  Member by = MemberOf(8, "c", true);
  by.peer_urls = {"http://h:3"};
  const auto planned = PlanReplace(kThree, 3, by);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(ConfigurationOf(*planned),
            raft::Configuration({raft::NodeId(1), raft::NodeId(2)}, {raft::NodeId(8)}));
  EXPECT_EQ(ChangeOf(*planned).replace().id(), 3u);
  EXPECT_EQ(PlanReplace(kThree, 9, by).status(), ErrorStatus(WireError::kMemberNotFound));
}

TEST(MembershipTest, AReplacementThatIsToVoteTakesNoLearnersPlace) {
  Member by = MemberOf(8, "c", true);
  by.votes_when_ready = true;
  const auto planned = PlanReplace(kThree, 3, by);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_TRUE(ChangeOf(*planned).replace().by().votes_when_ready());
  const Membership replaced = Of({MemberOf(1, "a"), MemberOf(2, "b"), by});
  EXPECT_TRUE(PlanAdd(replaced, MemberOf(4, "", true)).ok());
}

TEST(MembershipTest, AStrictAddWantsStartedAndConnectedMembers) {
  EXPECT_TRUE(CheckAdd(kThree, false, AllConnectedBut(0)).ok());
  EXPECT_EQ(CheckAdd(kThree, false, AllConnectedBut(2)), ErrorStatus(WireError::kUnhealthy));
  const Membership waiting = Of({MemberOf(1, "a"), MemberOf(2, "")});
  EXPECT_EQ(CheckAdd(waiting, false, AllConnectedBut(0)),
            ErrorStatus(WireError::kMemberNotEnoughStarted));
  EXPECT_TRUE(CheckAdd(waiting, true, AllConnectedBut(0)).ok());
  EXPECT_TRUE(CheckAdd(Of({MemberOf(1, "a")}), false, AllConnectedBut(0)).ok());
}

TEST(MembershipTest, AStrictRemoveKeepsAQuorum) {
  EXPECT_TRUE(CheckRemove(kThree, 2, AllConnectedBut(0)).ok());
  EXPECT_TRUE(CheckRemove(kThree, 2, AllConnectedBut(2)).ok()) << "who is down may go";
  EXPECT_EQ(CheckRemove(kThree, 2, AllConnectedBut(3)), ErrorStatus(WireError::kUnhealthy));
  EXPECT_EQ(CheckRemove(Of({MemberOf(1, "a")}), 1, AllConnectedBut(0)),
            ErrorStatus(WireError::kMemberNotEnoughStarted));
  EXPECT_EQ(CheckRemove(kThree, 9, AllConnectedBut(0)), ErrorStatus(WireError::kMemberNotFound));
}

TEST(MembershipTest, WhoWasRemovedOrHasAnotherDirectoryIsNotHeard) {
  Membership membership = kThree;
  membership.removed.insert(5);
  EXPECT_TRUE(CheckPeer(membership, 2, "uuid2").ok());
  EXPECT_EQ(CheckPeer(membership, 2, "another").message(),
            "member 2 was started with another data directory than the one it belongs to");
  EXPECT_EQ(CheckPeer(membership, 5, "uuid5").message(), kRemovedText);
  EXPECT_TRUE(CheckPeer(membership, 77, "any").ok()) << "its entry may be on its way";
}

TEST(MembershipTest, AMemberAddedAgainIsAnother) {
  EXPECT_NE(AddedMemberId({"http://h:1"}, 1), AddedMemberId({"http://h:1"}, 2));
  EXPECT_EQ(AddedMemberId({"http://a:1", "http://b:1"}, 1),
            AddedMemberId({"http://b:1", "http://a:1"}, 1));
}

}  // namespace
}  // namespace server
