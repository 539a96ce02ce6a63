// SPDX-License-Identifier: Apache-2.0
//
// Members as the log says them: each change, what cannot be, and etcd's answers.

#include <string>

#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using datum::membership::MembershipChange;
using raft::Configuration;
using raft::NodeId;

Configuration Voters(std::vector<NodeId> voters, std::vector<NodeId> learners = {}) {
  return Configuration(std::move(voters), std::move(learners));
}

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() {
    MembershipChange change;
    for (uint64_t id = 1; id <= 3; ++id) {
      Member* member = change.mutable_bootstrap()->add_members();
      member->set_id(id);
      member->set_name("m" + std::to_string(id));
      member->add_peer_urls("http://peer" + std::to_string(id));
    }
    const raft::ApplyResult result = driver_.Change(change, Three());
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.response, "");
  }

  static Configuration Three() { return Voters({NodeId(1), NodeId(2), NodeId(3)}); }
  static MembershipChange AddOf(uint64_t id, const std::string& url, bool learner) {
    MembershipChange change;
    change.mutable_add()->set_id(id);
    change.mutable_add()->add_peer_urls(url);
    change.mutable_add()->set_is_learner(learner);
    return change;
  }
  raft::ApplyResult AddLearner() {
    return driver_.Change(AddOf(4, "http://peer4", true),
                          Voters({NodeId(1), NodeId(2), NodeId(3)}, {NodeId(4)}));
  }

  MachineDriver driver_;
};

TEST_F(MembershipTest, TheBootstrapIsTheFirstEntryAndNoOther) {
  const Membership membership = driver_->membership();
  EXPECT_EQ(membership.index, raft::Index(1));
  EXPECT_EQ(membership.configuration, Three());
  ASSERT_EQ(membership.members.size(), 3u);
  EXPECT_EQ(membership.members[2].peer_urls(0), "http://peer3");
  MembershipChange again;
  again.mutable_bootstrap()->add_members()->set_id(9);
  EXPECT_EQ(ErrorOf(driver_.Change(again, Three()).status), Error::kMemberExists);
  EXPECT_EQ(driver_->membership().members.size(), 3u);
  EXPECT_EQ(driver_->membership().index, raft::Index(2)) << "what is compared and set moves on";
}

TEST_F(MembershipTest, AddAnswersAsEtcd) {
  const raft::ApplyResult result = AddLearner();
  ASSERT_TRUE(result.status.ok()) << result.status;
  etcdserverpb::MemberAddResponse answer;
  ASSERT_TRUE(answer.ParseFromString(result.response));
  EXPECT_EQ(answer.header().cluster_id(), 11u);
  EXPECT_EQ(answer.header().member_id(), 22u);
  EXPECT_EQ(answer.header().raft_term(), MachineDriver::kTerm);
  EXPECT_EQ(answer.header().revision(), 0);
  EXPECT_EQ(answer.member().id(), 4u);
  EXPECT_TRUE(answer.member().islearner());
  EXPECT_EQ(answer.members_size(), 4);
  EXPECT_EQ(answer.members(3).peerurls(0), "http://peer4");
}

TEST_F(MembershipTest, WhatCannotBeAddedIsRefused) {
  EXPECT_EQ(ErrorOf(driver_.Change(AddOf(2, "http://new", false), Three()).status),
            Error::kMemberExists);
  EXPECT_EQ(ErrorOf(driver_.Change(AddOf(5, "http://peer2", false), Three()).status),
            Error::kPeerUrlExists);
  EXPECT_EQ(driver_->membership().members.size(), 3u);
}

TEST_F(MembershipTest, ARemovedIdNeverComesBack) {
  MembershipChange remove;
  remove.set_remove(2);
  const raft::ApplyResult result = driver_.Change(remove, Voters({NodeId(1), NodeId(3)}));
  ASSERT_TRUE(result.status.ok());
  etcdserverpb::MemberRemoveResponse answer;
  ASSERT_TRUE(answer.ParseFromString(result.response));
  EXPECT_EQ(answer.members_size(), 2);
  EXPECT_EQ(driver_->membership().removed, std::set<uint64_t>{2});
  EXPECT_EQ(ErrorOf(driver_.Change(remove, Three()).status), Error::kMemberNotFound);
  EXPECT_EQ(ErrorOf(driver_.Change(AddOf(2, "http://new", false), Three()).status),
            Error::kMemberExists);
}

TEST_F(MembershipTest, AMembersAlarmsGoWithIt) {
  etcdserverpb::InternalRaftRequest raise;
  raise.mutable_alarm()->set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  raise.mutable_alarm()->set_alarm(etcdserverpb::NOSPACE);
  for (uint64_t id : {2, 3}) {
    raise.mutable_alarm()->set_memberid(id);
    ASSERT_TRUE(driver_.Apply(raise).status.ok());
  }
  EXPECT_EQ(driver_->alarms().size(), 2u);
  MembershipChange remove;
  remove.set_remove(2);
  ASSERT_TRUE(driver_.Change(remove, Voters({NodeId(1), NodeId(3)})).status.ok());
  ASSERT_EQ(driver_->alarms().size(), 1u);
  EXPECT_EQ(driver_->alarms()[0].member_id, 3u);
  driver_->Flush();
  driver_.Crash();
  EXPECT_EQ(driver_->alarms().size(), 1u);
}

TEST_F(MembershipTest, PeerUrlsAreUpdated) {
  MembershipChange update;
  update.mutable_update_peer_urls()->set_id(1);
  update.mutable_update_peer_urls()->add_peer_urls("http://moved");
  const raft::ApplyResult result = driver_.Change(update, Three());
  etcdserverpb::MemberUpdateResponse answer;
  ASSERT_TRUE(answer.ParseFromString(result.response));
  EXPECT_EQ(answer.members(0).peerurls(0), "http://moved");
  update.mutable_update_peer_urls()->set_id(2);
  EXPECT_EQ(ErrorOf(driver_.Change(update, Three()).status), Error::kPeerUrlExists);
  update.mutable_update_peer_urls()->set_id(7);
  EXPECT_EQ(ErrorOf(driver_.Change(update, Three()).status), Error::kMemberNotFound);
}

TEST_F(MembershipTest, ALearnerIsPromotedOnce) {
  ASSERT_TRUE(AddLearner().status.ok());
  MembershipChange promote;
  promote.set_promote(4);
  const Configuration four = Voters({NodeId(1), NodeId(2), NodeId(3), NodeId(4)});
  const raft::ApplyResult result = driver_.Change(promote, four);
  etcdserverpb::MemberPromoteResponse answer;
  ASSERT_TRUE(answer.ParseFromString(result.response));
  EXPECT_FALSE(answer.members(3).islearner());
  EXPECT_EQ(driver_->membership().configuration, four);
  EXPECT_EQ(ErrorOf(driver_.Change(promote, four).status), Error::kMemberNotLearner);
  promote.set_promote(9);
  EXPECT_EQ(ErrorOf(driver_.Change(promote, four).status), Error::kMemberNotFound);
}

TEST_F(MembershipTest, AMemberIsBoundToOneDataDirectory) {
  MembershipChange bind;
  bind.mutable_bind()->set_id(1);
  bind.mutable_bind()->set_data_dir_uuid("0123456789abcdef");
  EXPECT_TRUE(driver_.Change(bind, Three()).status.ok());
  EXPECT_TRUE(driver_.Change(bind, Three()).status.ok());
  bind.mutable_bind()->set_data_dir_uuid("fedcba9876543210");
  EXPECT_EQ(ErrorOf(driver_.Change(bind, Three()).status), Error::kMemberBound);
  EXPECT_EQ(driver_->membership().members[0].data_dir_uuid(), "0123456789abcdef");
}

TEST_F(MembershipTest, OnlyMembersPublishThemselves) {
  etcdserverpb::InternalRaftRequest request;
  auto* attributes = request.mutable_cluster_member_attr_set();
  attributes->set_member_id(1);
  attributes->mutable_member_attributes()->set_name("one");
  attributes->mutable_member_attributes()->add_client_urls("http://client1");
  EXPECT_TRUE(driver_.Apply(request).status.ok());
  EXPECT_EQ(driver_->membership().members[0].name(), "one");
  EXPECT_EQ(driver_->membership().members[0].peer_urls(0), "http://peer1") << "stays";
  attributes->set_member_id(8);
  EXPECT_EQ(ErrorOf(driver_.Apply(request).status), Error::kMemberNotFound);
}

TEST_F(MembershipTest, AllOfItIsReloaded) {
  ASSERT_TRUE(AddLearner().status.ok());
  MembershipChange remove;
  remove.set_remove(3);
  ASSERT_TRUE(driver_.Change(remove, Voters({NodeId(1), NodeId(2)}, {NodeId(4)})).status.ok());
  driver_->Flush();
  driver_.Crash();
  const Membership membership = driver_->membership();
  EXPECT_EQ(membership.members.size(), 3u);
  EXPECT_EQ(membership.removed, std::set<uint64_t>{3});
  EXPECT_EQ(membership.configuration, Voters({NodeId(1), NodeId(2)}, {NodeId(4)}));
  EXPECT_EQ(membership.index, raft::Index(3));
}

TEST_F(MembershipTest, BytesThatAreNoConfigurationAreRefused) {
  const raft::ApplyItem item = driver_.Item("nonsense", raft::EntryKind::kConfiguration);
  std::vector<raft::ApplyResult> results;
  driver_->Apply({&item, 1}, &results);
  EXPECT_EQ(ErrorOf(results[0].status), Error::kUndecodable);
  EXPECT_EQ(driver_->membership().configuration, Three());
}

}  // namespace
}  // namespace store
