// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/server/services_fixture.h"

namespace server {
namespace {

TEST_F(ServicesTest, AWriteBeyondTheQuotaRaisesTheAlarmAndIsRefused) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  state_.size = 1 << 20;
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kNoSpace));
  ASSERT_EQ(replica_.commands.size(), 1u);
  etcdserverpb::InternalRaftRequest command;
  ASSERT_TRUE(command.ParseFromString(replica_.commands[0]));
  const etcdserverpb::AlarmRequest& alarm = command.alarm();
  EXPECT_EQ(alarm.action(), etcdserverpb::AlarmRequest::ACTIVATE);
  EXPECT_EQ(alarm.memberid(), 22u);
  EXPECT_EQ(alarm.alarm(), etcdserverpb::NOSPACE);
  EXPECT_TRUE(quota_.alarm_is_ours());
  EXPECT_FALSE(quota_.HasRoomAgain());
  // What takes none goes on.
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::DeleteRangeResponse>("KV/DeleteRange", erase).ok());
  state_.size = 1 << 19;
  EXPECT_TRUE(quota_.HasRoomAgain());
  EXPECT_TRUE(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).ok());
}

TEST_F(ServicesTest, HashesDefragmentAndDowngrade) {
  etcdserverpb::HashKVRequest hash_kv;
  hash_kv.set_revision(4);
  const auto hashed = Ask<etcdserverpb::HashKVResponse>("Maintenance/HashKV", hash_kv);
  ASSERT_TRUE(hashed.ok());
  EXPECT_EQ(hashed->hash(), 77u);
  EXPECT_EQ(hashed->hash_revision(), 4);
  hash_kv.set_revision(99);
  EXPECT_EQ(Ask<etcdserverpb::HashKVResponse>("Maintenance/HashKV", hash_kv).status(),
            ErrorStatus(WireError::kFutureRevision));
  EXPECT_EQ(
      Ask<etcdserverpb::HashResponse>("Maintenance/Hash", etcdserverpb::HashRequest())->hash(), 6u);
  const auto defragmented = Ask<etcdserverpb::DefragmentResponse>(
      "Maintenance/Defragment", etcdserverpb::DefragmentRequest());
  ASSERT_TRUE(defragmented.ok());
  EXPECT_FALSE(defragmented->has_header());

  etcdserverpb::DowngradeRequest downgrade;
  const auto ask = [&](int action, const std::string& version) {
    downgrade.set_action(static_cast<etcdserverpb::DowngradeRequest::DowngradeAction>(action));
    downgrade.set_version(version);
    return Ask<etcdserverpb::DowngradeResponse>("Maintenance/Downgrade", downgrade);
  };
  EXPECT_EQ(ask(0, "3.x").status(), ErrorStatus(WireError::kDowngradeVersionFormat));
  EXPECT_EQ(ask(0, "3.5").status(), ErrorStatus(WireError::kDowngradeTarget));
  EXPECT_TRUE(absl::IsUnimplemented(ask(1, "3.6").status()));
  EXPECT_EQ(ask(2, "")->version(), "3.7");
  EXPECT_EQ(ask(7, "").status(), ErrorStatus(WireError::kUnknownMethod));
}

TEST_F(ServicesTest, StatusTellsHowTheMemberIsDoing) {
  replica_.node.commit_index = raft::Index(10);
  replica_.node.applied_index = raft::Index(9);
  auto status =
      Ask<etcdserverpb::StatusResponse>("Maintenance/Status", etcdserverpb::StatusRequest());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->version(), "3.7.1");
  EXPECT_EQ(status->header().cluster_id(), 11u);
  EXPECT_EQ(status->header().member_id(), 22u);
  EXPECT_EQ(status->header().revision(), 5);
  EXPECT_EQ(status->leader(), 22u);
  EXPECT_EQ(status->raftindex(), 10u);
  EXPECT_EQ(status->raftappliedindex(), 9u);
  EXPECT_EQ(status->raftterm(), 3u);
  EXPECT_EQ(status->dbsize(), 100);
  EXPECT_EQ(status->dbsizeinuse(), 40);
  EXPECT_EQ(status->errors_size(), 0);
  replica_.node.leader = raft::kNobody;
  state_.raised.resize(1);
  state_.raised[0].set_memberid(22);
  state_.raised[0].set_alarm(etcdserverpb::NOSPACE);
  status = Ask<etcdserverpb::StatusResponse>("Maintenance/Status", etcdserverpb::StatusRequest());
  ASSERT_EQ(status->errors_size(), 2);
  EXPECT_EQ(status->errors(0), "etcdserver: no leader");
  EXPECT_EQ(status->errors(1), "memberID:22  alarm:NOSPACE");
}

TEST_F(ServicesTest, MoveLeaderAsksTheLeaderForAVoter) {
  const auto move = [&](uint64_t target) {
    etcdserverpb::MoveLeaderRequest request;
    request.set_targetid(target);
    return Ask<etcdserverpb::MoveLeaderResponse>("Maintenance/MoveLeader", request).status();
  };
  EXPECT_TRUE(move(22).ok()) << "it leads already";
  EXPECT_EQ(move(99), ErrorStatus(WireError::kBadLeaderTransferee));
  state_.known.members[44].is_learner = true;
  EXPECT_EQ(move(44), ErrorStatus(WireError::kBadLeaderTransferee));
  EXPECT_EQ(replica_.transferred_to, raft::kNobody);
  replica_.node.leader = raft::NodeId(33);
  EXPECT_EQ(move(33), ErrorStatus(WireError::kNotLeader));
}

}  // namespace
}  // namespace server
