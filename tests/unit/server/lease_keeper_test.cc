// SPDX-License-Identifier: Apache-2.0

#include "server/lease_keeper.h"

#include "gtest/gtest.h"
#include "proto/membership_change.pb.h"
#include "raft/core/configuration.h"
#include "server/errors.h"
#include "server/lease_service.h"
#include "store/errors.h"
#include "tests/unit/server/lone_member.h"

namespace server {
namespace {

using datum::peer::LeaseRoundRequest;
using datum::peer::LeaseRoundResponse;
using std::chrono::seconds;

class LeaseKeeperTest : public testing::Test {
 protected:
  LeaseKeeperTest()
      : state_(replica_.machine()),
        gate_({.cluster_id = 11, .member_id = 22}, &replica_, &clock_),
        peers_({.cluster_id = 11, .self = 22}, &clock_, {}),
        keeper_({&replica_, &state_, &peers_, &clock_, std::chrono::milliseconds(400)}),
        quota_(&state_, 1 << 20),
        space_(&gate_, &state_, &quota_),
        service_(&gate_, &space_, &state_, &memory_, &keeper_, [this] { return next_id_++; }) {
    replica_.machine()->set_on_commit(
        [this](std::span<const store::WriteOperation> batch, const store::AppliedRecord& numbers) {
          keeper_.OnCommit(batch, numbers);
        });
    keeper_.Load({});
    keeper_.Register(&registry_);
    service_.Register(&registry_);
    Found();
    Grant(7, 10);
  }

  // Makes the member the only one of its cluster.
  void Found() {
    datum::membership::MembershipChange change;
    auto* member = change.mutable_bootstrap()->add_members();
    member->set_id(22);
    member->add_peer_urls("http://h:1");
    auto entry = std::make_shared<raft::Entry>();
    entry->index = raft::Index(1);
    entry->term = raft::Term(4);
    entry->kind = raft::EntryKind::kConfiguration;
    entry->command = raft::EncodeConfigurationCommand(raft::Configuration({raft::NodeId(22)}, {}),
                                                      change.SerializeAsString());
    const raft::ApplyItem item{entry, true};
    std::vector<raft::ApplyResult> results;
    replica_.machine()->Apply({&item, 1}, &results);
  }

  etcdserverpb::LeaseGrantResponse Grant(int64_t lease, int64_t ttl) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(lease);
    request.set_ttl(ttl);
    const Asked<etcdserverpb::LeaseGrantResponse> asked(registry_, "/etcdserverpb.Lease/LeaseGrant",
                                                        request);
    EXPECT_TRUE(asked.ended);
    grant_status_ = asked.result;
    return asked.response;
  }
  LeaseRoundResponse Round(const LeaseRoundRequest& request) {
    return Asked<LeaseRoundResponse>(registry_, kLeaseRoundMethod, request).response;
  }
  LeaseRoundRequest InTerm(uint64_t term) {
    LeaseRoundRequest request;
    request.set_cluster_id(11);
    request.set_to(22);
    request.set_term(term);
    request.set_tell(true);
    return request;
  }
  etcdserverpb::LeaseTimeToLiveResponse TimeToLive(int64_t lease) {
    etcdserverpb::LeaseTimeToLiveRequest request;
    request.set_id(lease);
    request.set_keys(true);
    return Asked<etcdserverpb::LeaseTimeToLiveResponse>(
               registry_, "/etcdserverpb.Lease/LeaseTimeToLive", request)
        .response;
  }

  LoneClock clock_;
  LoneReplica replica_;
  MachineState state_;
  Gate gate_;
  PeerTransport peers_;
  LeaseKeeper keeper_;
  uint64_t next_id_ = 7;
  Quota quota_;
  SpaceGate space_;
  AnswerMemory memory_{1 << 20, 1};
  LeaseService service_;
  rpc::Registry registry_;
  absl::Status grant_status_;
};

TEST_F(LeaseKeeperTest, AMemberSpeaksInATermOnlyWithAnEntryOfItAndNotAfterIt) {
  EXPECT_EQ(Round(InTerm(4)).outcome(), LeaseRoundResponse::NOTED);
  replica_.node.term = raft::Term(5);
  EXPECT_EQ(Round(InTerm(4)).outcome(), LeaseRoundResponse::REFUSED);
  EXPECT_EQ(Round(InTerm(5)).outcome(), LeaseRoundResponse::NOT_YET) << "nothing applied in it";
  EXPECT_EQ(Round(InTerm(6)).outcome(), LeaseRoundResponse::NOT_YET);
  Grant(8, 10);
  EXPECT_EQ(Round(InTerm(5)).outcome(), LeaseRoundResponse::NOTED);
  LeaseRoundRequest other = InTerm(5);
  other.set_to(23);
  EXPECT_EQ(Round(other).outcome(), LeaseRoundResponse::REFUSED);
  other = InTerm(5);
  other.set_cluster_id(12);
  EXPECT_EQ(Round(other).outcome(), LeaseRoundResponse::REFUSED);
}

TEST_F(LeaseKeeperTest, WhatIsNotedIsToldAndAForgetfulMemberIsToldOncePerSession) {
  clock_.now += seconds(3);
  LeaseRoundRequest request = InTerm(4);
  request.add_renewed(7);
  request.add_renewed(404);
  LeaseRoundResponse told = Round(request);
  ASSERT_EQ(told.known().leases_size(), 1);
  EXPECT_EQ(told.known().ages_us(0), 0u);
  EXPECT_TRUE(told.forgetful());
  request = InTerm(4);
  request.mutable_whole()->add_leases(7);
  request.mutable_whole()->add_ages_us(9'000'000);
  request.set_session(told.session() + 1);
  EXPECT_TRUE(Round(request).forgetful()) << "that was for another start";
  request.set_session(told.session());
  told = Round(request);
  EXPECT_FALSE(told.forgetful());
  EXPECT_EQ(told.known().ages_us(0), 0u) << "what was noted stays";
}

TEST_F(LeaseKeeperTest, TheLeaderKeepsLeasesAliveAndEndsThemWhenDue) {
  clock_.now += seconds(4);
  int64_t answered = -1;
  keeper_.KeepAlive(7, base::kForever, [&](absl::StatusOr<int64_t> ttl) { answered = *ttl; });
  keeper_.RunOnce();
  EXPECT_EQ(answered, 10);
  clock_.now += seconds(8);
  keeper_.RunOnce();
  EXPECT_EQ(TimeToLive(7).ttl(), 2);
  EXPECT_EQ(TimeToLive(7).grantedttl(), 10);
  EXPECT_EQ(TimeToLive(404).ttl(), -1);
  clock_.now += seconds(2);
  keeper_.RunOnce();
  EXPECT_TRUE(state_.Leases()->empty());
  keeper_.RunOnce();
  keeper_.KeepAlive(7, base::kForever, [&](absl::StatusOr<int64_t> ttl) { answered = *ttl; });
  keeper_.RunOnce();
  keeper_.RunOnce();
  EXPECT_EQ(answered, 0);
}

TEST_F(LeaseKeeperTest, AnEndDecidedInAnotherTermDoesNothing) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_lease_revoke()->set_id(7);
  request.set_in_term(3);
  replica_.Publish(request.SerializeAsString(), base::kForever, [](raft::PublishOutcome outcome) {
    EXPECT_EQ(store::ErrorOf(outcome.result.status), store::Error::kOtherTerm);
  });
  EXPECT_EQ(state_.Leases()->size(), 1u);
}

TEST_F(LeaseKeeperTest, GrantsPickFreeIdsAndRaiseShortTtls) {
  EXPECT_EQ(Grant(0, -5).ttl(), 2) << "7 is taken, 8 is next";
  EXPECT_EQ(state_.Leases().value(), (std::vector<int64_t>{7, 8}));
  Grant(7, 100);
  EXPECT_EQ(grant_status_, ErrorStatus(WireError::kLeaseExists));
  Grant(9, store::kLeaseTtlMax + 1);
  EXPECT_EQ(grant_status_, ErrorStatus(WireError::kLeaseTtlTooLarge));
  EXPECT_EQ(LeaseTtlMin(std::chrono::milliseconds(400)), 2);
  EXPECT_EQ(LeaseTtlMin(std::chrono::milliseconds(3000)), 5);
}

TEST_F(LeaseKeeperTest, AStreamAnswersAllAndEndsAfterThem) {
  const auto& opener =
      std::get<rpc::StreamOpener>(*registry_.Find("/etcdserverpb.Lease/LeaseKeepAlive"));
  auto stream = std::make_shared<LoneStream>();
  const auto handler = opener(stream);
  etcdserverpb::LeaseKeepAliveRequest request;
  for (const int64_t lease : {7, 404, 7}) {
    request.set_id(lease);
    handler->OnMessage(request.SerializeAsString());
  }
  handler->OnHalfClose();
  EXPECT_FALSE(stream->finished.has_value());
  for (int i = 0; i < 3; ++i) keeper_.RunOnce();
  EXPECT_EQ(stream->written.size(), 3u);
  ASSERT_TRUE(stream->finished.has_value());
  EXPECT_TRUE(stream->finished->ok());
}

TEST_F(LeaseKeeperTest, AStreamThatFloodsOrIsNotReadOrSendsGarbageEnds) {
  const auto& opener =
      std::get<rpc::StreamOpener>(*registry_.Find("/etcdserverpb.Lease/LeaseKeepAlive"));
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(7);
  const std::string bytes = request.SerializeAsString();
  auto flood = std::make_shared<LoneStream>();
  const auto flooding = opener(flood);
  for (int i = 0; i < 70'000 && !flood->finished; ++i) flooding->OnMessage(bytes);
  ASSERT_TRUE(flood->finished.has_value());
  EXPECT_EQ(*flood->finished, ErrorStatus(WireError::kTooManyRequests));
  EXPECT_TRUE(flood->aborted) << "also if the client does not read";

  auto unread = std::make_shared<LoneStream>();
  unread->unread = 9 << 20;
  const auto silent = opener(unread);
  silent->OnMessage(bytes);
  for (int i = 0; i < 30 && !unread->finished; ++i) keeper_.RunOnce();
  EXPECT_EQ(unread->finished, ErrorStatus(WireError::kTooManyRequests));

  auto garbage = std::make_shared<LoneStream>();
  opener(garbage)->OnMessage("\xff\xff");
  EXPECT_EQ(garbage->finished->code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(garbage->aborted);
}

TEST_F(LeaseKeeperTest, WhatWaitsAtTheEndIsToldThatTheServerStops) {
  replica_.node.leader = raft::kNobody;
  replica_.node.role = raft::Role::kFollower;
  std::vector<absl::Status> ended;
  const auto note = [&](const absl::StatusOr<int64_t>& ttl) { ended.push_back(ttl.status()); };
  keeper_.KeepAlive(7, clock_.now + seconds(1), note);
  keeper_.KeepAlive(7, base::kForever, note);
  keeper_.RunOnce();
  EXPECT_TRUE(ended.empty());
  clock_.now += seconds(1);
  keeper_.RunOnce();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0], ErrorStatus(WireError::kTimeout));
  keeper_.Stop();
  keeper_.KeepAlive(7, base::kForever, note);
  ASSERT_EQ(ended.size(), 3u);
  EXPECT_EQ(ended[1], ErrorStatus(WireError::kStopped));
  EXPECT_EQ(ended[2], ErrorStatus(WireError::kStopped));
}

}  // namespace
}  // namespace server
