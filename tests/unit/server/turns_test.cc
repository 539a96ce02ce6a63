// SPDX-License-Identifier: Apache-2.0
//
// Locks and elections over the real machine.

#include "server/turns.h"

#include "gtest/gtest.h"
#include "server/election_observer.h"
#include "server/election_service.h"
#include "server/lock_service.h"
#include "tests/unit/server/lone_member.h"

namespace server {
namespace {

using LockAsked = Asked<v3lockpb::LockResponse>;

class NoClock final : public LeaseClock {
  void KeepAlive(int64_t, base::TimePoint, KeepAliveDone) override {}
  void TimeToLive(int64_t, bool, base::TimePoint, TimeToLiveDone) override {}
};

class TurnsTest : public testing::Test {
 protected:
  TurnsTest()
      : state_(replica_.machine()),
        gate_({.cluster_id = 11, .member_id = 22}, &replica_, &clock_),
        quota_(&state_, 1 << 20),
        space_(&gate_, &state_, &quota_),
        leases_(&gate_, &space_, &state_, &memory_, &no_clock_, [] { return uint64_t{99}; }),
        turns_(&gate_, &space_, &state_, &leases_, &waiters_, 128),
        locks_(&turns_),
        elections_(&turns_, &memory_) {
    replica_.machine()->set_on_commit(
        [this](std::span<const store::WriteOperation> batch, const store::AppliedRecord&) {
          waiters_.OnCommit(batch);
        });
    locks_.Register(&registry_);
    elections_.Register(&registry_);
    for (const int64_t lease : {10, 11, 12, -10}) Grant(lease);
  }

  void Grant(int64_t lease) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_lease_grant()->set_id(lease);
    request.mutable_lease_grant()->set_ttl(60);
    replica_.Publish(request.SerializeAsString(), base::kForever, [](raft::PublishOutcome) {});
  }
  void Revoke(int64_t lease) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_lease_revoke()->set_id(lease);
    replica_.Publish(request.SerializeAsString(), base::kForever, [](raft::PublishOutcome) {});
  }
  std::unique_ptr<LockAsked> Lock(int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name("q");
    request.set_lease(lease);
    return std::make_unique<LockAsked>(registry_, "/v3lockpb.Lock/Lock", request);
  }
  absl::Status Unlock(const std::string& key) {
    v3lockpb::UnlockRequest request;
    request.set_key(key);
    return Asked<v3lockpb::UnlockResponse>(registry_, "/v3lockpb.Lock/Unlock", request).result;
  }
  int64_t CountOf(const std::string& key, const std::string& end) {
    etcdserverpb::RangeRequest range;
    range.set_key(key);
    range.set_range_end(end);
    etcdserverpb::RangeResponse response;
    EXPECT_TRUE(state_.Range(range, 0, &response).ok());
    return response.count();
  }

  LoneClock clock_;
  LoneReplica replica_;
  MachineState state_;
  Gate gate_;
  Quota quota_;
  SpaceGate space_;
  NoClock no_clock_;
  AnswerMemory memory_{1 << 20, 1};
  LeaseService leases_;
  KeyWaiters waiters_;
  Turns turns_;
  LockService locks_;
  ElectionService elections_;
  rpc::Registry registry_;
};

TEST_F(TurnsTest, OneHoldsTheLockAndTheOthersFollowInOrder) {
  const auto first = Lock(10);
  ASSERT_TRUE(first->ended);
  EXPECT_EQ(first->response.key(), "q/a");
  EXPECT_TRUE(Lock(10)->ended) << "the session that holds it has it";
  const auto second = Lock(11);
  const auto third = Lock(-10);
  EXPECT_FALSE(second->ended);
  EXPECT_TRUE(Unlock("q/a").ok());
  ASSERT_TRUE(second->ended);
  EXPECT_EQ(second->response.key(), "q/b");
  EXPECT_FALSE(third->ended);
  EXPECT_TRUE(Unlock("q/b").ok());
  ASSERT_TRUE(third->ended);
  EXPECT_EQ(third->response.key(), "q/-a");
  EXPECT_EQ(waiters_.size(), 0u);
}

TEST_F(TurnsTest, WhoGoesAwayLeavesTheQueueAndHoldsUpNobody) {
  const auto first = Lock(10);
  auto second = Lock(11);
  const auto third = Lock(12);
  second->call.Cancel();
  ASSERT_TRUE(second->ended);
  EXPECT_TRUE(absl::IsCancelled(second->result));
  EXPECT_EQ(CountOf("q/", "q0"), 2);
  EXPECT_TRUE(Unlock("q/a").ok());
  EXPECT_TRUE(third->ended);
}

TEST_F(TurnsTest, ASessionThatEndsWhileItWaitsIsToldSo) {
  const auto first = Lock(10);
  const auto second = Lock(11);
  Revoke(11);
  EXPECT_FALSE(second->ended) << "it hears of it when it would be its turn";
  Revoke(10);
  ASSERT_TRUE(second->ended);
  EXPECT_EQ(second->result, absl::UnknownError("mutex: session is expired"));
}

TEST_F(TurnsTest, ErrorsAreEtcdsFromInside) {
  EXPECT_EQ(Lock(77)->result, absl::UnknownError("etcdserver: requested lease not found"));
  EXPECT_EQ(Unlock(""), absl::UnknownError("etcdserver: key is not provided"));
  const auto own = Lock(0);
  ASSERT_TRUE(own->ended);
  EXPECT_EQ(own->response.key(), "q/63") << "with a lease of the server's";
}

TEST_F(TurnsTest, WhatAnElectionWritesIsCheckedAsAClientsTxn) {
  const absl::Status no_key = absl::UnknownError("etcdserver: key is not provided");
  v3electionpb::ProclaimRequest proclaim;
  proclaim.mutable_leader();
  proclaim.set_value("n");
  using Proclaimed = Asked<v3electionpb::ProclaimResponse>;
  EXPECT_EQ(Proclaimed(registry_, "/v3electionpb.Election/Proclaim", proclaim).result, no_key);
  v3electionpb::ResignRequest resign;
  resign.mutable_leader();
  using Resigned = Asked<v3electionpb::ResignResponse>;
  EXPECT_EQ(Resigned(registry_, "/v3electionpb.Election/Resign", resign).result, no_key);
  EXPECT_EQ(CountOf(std::string(1, '\0'), std::string(1, '\0')), 0);
}

TEST_F(TurnsTest, AnObserverIsToldEachValueAndEachLeader) {
  auto stream = std::make_shared<LoneStream>();
  ElectionObserver observer(&turns_, stream);
  v3electionpb::LeaderRequest request;
  request.set_name("e");
  observer.OnMessage(request.SerializeAsString());
  EXPECT_TRUE(stream->written.empty());
  const auto values = [&] {
    std::string all;
    for (const std::string& bytes : stream->written) {
      v3electionpb::LeaderResponse response;
      EXPECT_TRUE(response.ParseFromString(bytes));
      all += response.kv().value() + " ";
    }
    return all;
  };
  const auto campaign = [&](int64_t lease, const std::string& value) {
    v3electionpb::CampaignRequest campaign;
    campaign.set_name("e");
    campaign.set_lease(lease);
    campaign.set_value(value);
    return std::make_unique<Asked<v3electionpb::CampaignResponse>>(
        registry_, "/v3electionpb.Election/Campaign", campaign);
  };
  const auto leader = campaign(10, "one");
  EXPECT_EQ(values(), "one ");
  const auto next = campaign(11, "two");
  stream->unread = 2 << 20;
  v3electionpb::ProclaimRequest proclaim;
  *proclaim.mutable_leader() = leader->response.leader();
  for (const std::string value : {"a", "b", "c"}) {
    proclaim.set_value(value);
    EXPECT_TRUE(Asked<v3electionpb::ProclaimResponse>(registry_, "/v3electionpb.Election/Proclaim",
                                                      proclaim)
                    .result.ok());
  }
  EXPECT_EQ(values(), "one a ") << "the client does not read";
  stream->unread = 0;
  observer.OnDrained();
  EXPECT_EQ(values(), "one a b c ");
  v3electionpb::ResignRequest resign;
  *resign.mutable_leader() = leader->response.leader();
  EXPECT_TRUE(
      Asked<v3electionpb::ResignResponse>(registry_, "/v3electionpb.Election/Resign", resign)
          .result.ok());
  EXPECT_EQ(values(), "one a b c two ") << "whose key is older than the last value";
  EXPECT_TRUE(next->ended);
  observer.OnDone();
  EXPECT_EQ(waiters_.size(), 0u);
}

}  // namespace
}  // namespace server
