// SPDX-License-Identifier: Apache-2.0
//
// The services over fakes of the replica and the state.

#include <set>

#include "gtest/gtest.h"
#include "rpc/handler.h"
#include "server/cluster_service.h"
#include "server/errors.h"
#include "server/kv_service.h"
#include "server/maintenance_service.h"
#include "store/errors.h"

namespace server {
namespace {

using etcdserverpb::TxnRequest;
using raft::PublishOutcome;

class FakeClock : public base::Clock {
 public:
  base::TimePoint Now() const override { return now; }
  base::TimePoint now = base::TimePoint(std::chrono::hours(1));
};

class FakeReplica : public Replica {
 public:
  void Publish(std::string command, base::TimePoint deadline, raft::PublishDone done) override {
    commands.push_back(command);
    last_deadline = deadline;
    done(outcome);
  }
  void ChangeConfiguration(std::string command, raft::Index based_on, base::TimePoint,
                           raft::PublishDone done) override {
    changes.push_back({command, based_on});
    const PublishOutcome now = change_outcomes.empty() ? outcome : change_outcomes.front();
    if (!change_outcomes.empty()) change_outcomes.erase(change_outcomes.begin());
    done(now);
  }
  void TransferLeadership(raft::NodeId to) override { transferred_to = to; }
  void LocalRead(raft::ReadDone done) override { done(raft::ReadOutcome::kReady); }
  void ReadIndex(base::TimePoint, raft::ReadDone done) override {
    ++reads;
    done(read_outcome);
  }
  raft::NodeStatus status() const override { return node; }

  std::vector<std::string> commands;
  std::vector<std::pair<std::string, raft::Index>> changes;
  std::vector<PublishOutcome> change_outcomes;
  raft::NodeId transferred_to;
  base::TimePoint last_deadline;
  PublishOutcome outcome;
  raft::ReadOutcome read_outcome = raft::ReadOutcome::kReady;
  int reads = 0;
  raft::NodeStatus node;
};

class FakeState : public State {
 public:
  absl::Status Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                     etcdserverpb::RangeResponse* response) const override {
    if (request.revision() == 99) return store::ErrorStatus(store::Error::kFutureRevision);
    response->mutable_header()->set_raft_term(raft_term);
    response->set_count(7);
    return absl::OkStatus();
  }
  absl::StatusOr<bool> EncodeRange(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                                   store::Grows grows, store::Pieces* pieces) const override {
    if (!grows(large_answer)) return false;
    etcdserverpb::RangeResponse response;
    const absl::Status read = Range(request, raft_term, &response);
    if (!read.ok()) return read;
    pieces->push_back(response.SerializeAsString());
    return true;
  }
  absl::StatusOr<std::unique_ptr<store::RangePages>> OpenPages(
      const etcdserverpb::RangeRequest&) const override {
    return absl::UnimplementedError("not here");
  }
  absl::StatusOr<bool> NextPage(store::RangePages*, int64_t, uint64_t,
                                etcdserverpb::RangeResponse*) const override {
    return absl::UnimplementedError("not here");
  }
  absl::Status ReadTxn(const etcdserverpb::TxnRequest&, uint64_t,
                       etcdserverpb::TxnResponse* response) const override {
    response->set_succeeded(true);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<store::EtcdSnapshot>> PlanBackup(
      const std::string&, base::FileSystem*, const std::string&) const override {
    return absl::UnimplementedError("not here");
  }
  absl::Status HashKv(int64_t revision, etcdserverpb::HashKVResponse* response) const override {
    if (revision == 99) return store::ErrorStatus(store::Error::kFutureRevision);
    response->set_hash(77);
    response->set_hash_revision(revision);
    return absl::OkStatus();
  }
  uint64_t state_hash() const override { return 0x500000003; }
  int64_t revision() const override { return 5; }
  absl::StatusOr<std::vector<int64_t>> Leases() const override { return std::vector<int64_t>(); }
  absl::StatusOr<std::vector<std::string>> KeysOfLease(int64_t) const override {
    return std::vector<std::string>();
  }
  raft::Term applied_term() const override { return node_term; }
  Membership membership() const override { return known; }
  std::vector<etcdserverpb::AlarmMember> alarms() const override { return raised; }
  bool no_space() const override {
    return std::any_of(raised.begin(), raised.end(), [](const etcdserverpb::AlarmMember& alarm) {
      return alarm.alarm() == etcdserverpb::NOSPACE;
    });
  }
  int64_t size_bytes() const override { return size; }
  int64_t size_in_use_bytes() const override { return 40; }

  Membership known;
  raft::Term node_term;
  std::vector<etcdserverpb::AlarmMember> raised;
  int64_t size = 100;
  uint64_t large_answer = 10;
};

class FakeCall : public rpc::Call {
 public:
  std::optional<std::string> Metadata(std::string_view name) const override {
    if (name == "hasleader" && hasleader) return "true";
    return std::nullopt;
  }
  base::TimePoint deadline() const override { return until; }
  std::string peer() const override { return "test"; }
  bool cancelled() const override { return false; }

  bool hasleader = false;
  base::TimePoint until = base::kForever;
};

class ServicesTest : public testing::Test {
 protected:
  ServicesTest()
      : gate_(GateOptions{.cluster_id = 11, .member_id = 22, .max_request_bytes = 1000}, &replica_,
              &clock_),
        quota_(&state_, 1 << 20),
        space_(&gate_, &state_, &quota_),
        kv_(&gate_, &space_, &state_, &memory_, 4),
        maintenance_(
            &gate_, &state_, &transfers_,
            [](const std::function<void()>& job) {
              job();
              return true;
            },
            1 << 20),
        changer_(&replica_, &state_, &clock_),
        cluster_(&gate_, &state_, &changer_,
                 {.strict_reconfig_check = true,
                  .connections = {.self = 22,
                                  .steady = [](uint64_t) { return true; },
                                  .connected = [](uint64_t) { return true; }},
                  .salt = [] { return uint64_t{1}; }}) {
    AddMember(22, "a", "http://h:1");
    AddMember(33, "b", "http://h:2");
    AddMember(44, "c", "http://h:3");
    state_.known.index = raft::Index(6);
    replica_.node.self = raft::NodeId(22);
    replica_.node.leader = raft::NodeId(22);
    replica_.node.term = raft::Term(3);
    kv_.Register(&registry_);
    maintenance_.Register(&registry_);
    cluster_.Register(&registry_);
  }

  void AddMember(uint64_t id, const std::string& name, const std::string& url) {
    Member& member = state_.known.members[id];
    member.id = id;
    member.name = name;
    member.peer_urls = {url};
  }

  // Runs a method to its end; counts that it ends once.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(const std::string& path, const Request& request) {
    const auto* handler = std::get_if<rpc::UnaryHandler>(registry_.Find("/etcdserverpb." + path));
    if (handler == nullptr) return absl::UnimplementedError(path);
    int ended = 0;
    absl::Status status;
    Response response;
    (*handler)(call_, request.SerializeAsString(), [&](absl::Status result, std::string bytes) {
      ++ended;
      status = result;
      EXPECT_TRUE(response.ParseFromString(bytes));
    });
    EXPECT_EQ(ended, 1);
    if (!status.ok()) return status;
    return response;
  }

  FakeClock clock_;
  FakeReplica replica_;
  FakeState state_;
  FakeCall call_;
  Gate gate_;
  Quota quota_;
  SpaceGate space_;
  AnswerMemory memory_{1000, 1};
  KvService kv_;
  Transfers transfers_;
  MaintenanceService maintenance_;
  ConfigurationChanger changer_;
  ClusterService cluster_;
  rpc::Registry registry_;
};

etcdserverpb::PutRequest PutOf(const std::string& key) {
  etcdserverpb::PutRequest put;
  put.set_key(key);
  return put;
}

TEST_F(ServicesTest, WhatTakesSpaceIsRefusedBeforeItIsInTheLogWhileADiskIsFull) {
  etcdserverpb::AlarmMember& full = state_.raised.emplace_back();
  full.set_alarm(etcdserverpb::NOSPACE);
  const auto put = Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k"));
  EXPECT_EQ(put.status().message(), "etcdserver: mvcc: database space exceeded");
  etcdserverpb::TxnRequest txn;
  *txn.add_failure()->mutable_request_put() = PutOf("k");
  EXPECT_FALSE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  EXPECT_TRUE(replica_.commands.empty());

  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::DeleteRangeResponse>("KV/DeleteRange", remove).ok());
  EXPECT_EQ(replica_.commands.size(), 1u);
}

TEST_F(ServicesTest, PutGoesDownThePublishPathAndGivesTheAnswersBytes) {
  etcdserverpb::PutResponse answer;
  answer.mutable_header()->set_revision(8);
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {absl::OkStatus(), answer.SerializeAsString()}};
  const auto response = Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->header().revision(), 8);
  etcdserverpb::InternalRaftRequest command;
  ASSERT_TRUE(command.ParseFromString(replica_.commands.at(0)));
  EXPECT_EQ(command.put().key(), "k");
  EXPECT_EQ(replica_.last_deadline, clock_.now + std::chrono::seconds(7));
  call_.until = clock_.now + std::chrono::seconds(1);
  ASSERT_TRUE(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).ok());
  EXPECT_EQ(replica_.last_deadline, call_.until);
}

TEST_F(ServicesTest, ABadRequestNeverEntersTheLog) {
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("")).status(),
            ErrorStatus(WireError::kEmptyKey));
  etcdserverpb::PutRequest large = PutOf("k");
  large.set_value(std::string(1000, 'v'));
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", large).status(),
            ErrorStatus(WireError::kRequestTooLarge));
  EXPECT_TRUE(replica_.commands.empty());
}

// Seen on etcd 3.7.1, member 6156c1793b18ae64: 1,572,839 bytes under "k" pass, one more does not.
TEST_F(ServicesTest, TheLargestRequestIsEtcdsToTheByte) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  const auto fits = [&](uint64_t member_id, size_t value_bytes) {
    const Gate gate(GateOptions{.member_id = member_id}, &replica_, &clock_);
    etcdserverpb::InternalRaftRequest request;
    *request.mutable_put() = PutOf("k");
    request.mutable_put()->set_value(std::string(value_bytes, 'v'));
    absl::Status status;
    gate.Publish(call_, request, [&](absl::Status ended, std::string) { status = ended; });
    return status.ok();
  };
  EXPECT_TRUE(fits(0x6156c1793b18ae64, 1'572'839));
  EXPECT_FALSE(fits(0x6156c1793b18ae64, 1'572'840));
  EXPECT_TRUE(fits(0x6156c1793b182e64, 1'572'840)) << "an id that is a byte shorter";
  EXPECT_FALSE(fits(0x6156c1793b182e64, 1'572'841));
}

TEST_F(ServicesTest, EachOutcomeOfAPublishHasItsError) {
  const auto status_of = [&](PublishOutcome::Kind kind) {
    replica_.outcome.kind = kind;
    return Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status();
  };
  EXPECT_EQ(status_of(PublishOutcome::Kind::kDropped), ErrorStatus(WireError::kLeaderChanged));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kRefused), ErrorStatus(WireError::kTooManyRequests));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kNoLeader), ErrorStatus(WireError::kNoLeader));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kUnknown), ErrorStatus(WireError::kTimeout));
  replica_.node.leader_lost_at = clock_.now - std::chrono::seconds(1);
  EXPECT_EQ(status_of(PublishOutcome::Kind::kUnknown),
            ErrorStatus(WireError::kTimeoutLeaderFailed));
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {store::ErrorStatus(store::Error::kCompacted), ""}};
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kCompacted));
}

TEST_F(ServicesTest, RangeIsLinearizableUnlessItSaysSerializable) {
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  auto response = Ask<etcdserverpb::RangeResponse>("KV/Range", range);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->count(), 7);
  EXPECT_EQ(response->header().raft_term(), 3u);
  EXPECT_EQ(replica_.reads, 1);
  replica_.read_outcome = raft::ReadOutcome::kLeaderChanged;
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kLeaderChanged));
  range.set_serializable(true);
  EXPECT_TRUE(Ask<etcdserverpb::RangeResponse>("KV/Range", range).ok());
  EXPECT_EQ(replica_.reads, 2);
  range.set_revision(99);
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kFutureRevision));
}

TEST_F(ServicesTest, ATxnThatOnlyReadsIsNotPublished) {
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn)->succeeded());
  EXPECT_EQ(replica_.reads, 1);
  txn.add_failure()->mutable_request_put()->set_key("k");
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  EXPECT_EQ(replica_.commands.size(), 1u);
  for (int i = 0; i < 4; ++i) txn.add_compare()->set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  txn.add_compare()->set_key("k");
  EXPECT_EQ(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).status(),
            ErrorStatus(WireError::kTooManyOps));
}

TxnRequest TxnsInside(int depth) {
  TxnRequest txn;
  txn.add_success()->mutable_request_put()->set_key("k");
  for (; depth > 1; --depth) {
    TxnRequest outer;
    outer.add_success()->mutable_request_txn()->Swap(&txn);
    txn.Swap(&outer);
  }
  return txn;
}

TEST_F(ServicesTest, ATxnMayBeAsDeepAsItsOperationsAllowAndWhatIsDecodedTwiceIsDecodable) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  const KvService deep(&gate_, &space_, &state_, &memory_, 128);
  rpc::Registry registry;
  deep.Register(&registry);
  const auto ask = [&](int depth) {
    absl::Status status;
    std::get<rpc::UnaryHandler> (*registry.Find("/etcdserverpb.KV/Txn"))(
        call_, TxnsInside(depth).SerializeAsString(),
        [&](absl::Status ended, std::string) { status = ended; });
    return status;
  };
  for (const int depth : {49, 50, 128}) EXPECT_TRUE(ask(depth).ok()) << depth;
  EXPECT_EQ(replica_.commands.size(), 3u);
  EXPECT_EQ(ask(129), ErrorStatus(WireError::kTooManyOps));
  EXPECT_EQ(ask(400), ErrorStatus(WireError::kTooManyOps));
  EXPECT_EQ(ask(9000).code(), absl::StatusCode::kInternal) << "not decoded at all";
  EXPECT_EQ(replica_.commands.size(), 3u);
}

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
  EXPECT_EQ(hashed->header().member_id(), 22u);
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

TEST_F(ServicesTest, HasleaderHearsAtOnceThatThereIsNone) {
  replica_.node.leader = raft::kNobody;
  call_.hasleader = true;
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kNoLeader));
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kNoLeader));
  EXPECT_TRUE(replica_.commands.empty());
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

TEST_F(ServicesTest, MemberListSaysWhatTheStateKnows) {
  state_.known.members[33].client_urls = {"http://h:4"};
  state_.known.members[44].is_learner = true;
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  const auto list = Ask<etcdserverpb::MemberListResponse>("Cluster/MemberList", request);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(replica_.reads, 1);
  EXPECT_EQ(list->header().revision(), 0);
  ASSERT_EQ(list->members_size(), 3);
  EXPECT_EQ(list->members(0).name(), "a");
  EXPECT_EQ(list->members(0).peerurls(0), "http://h:1");
  EXPECT_EQ(list->members(1).clienturls(0), "http://h:4");
  EXPECT_TRUE(list->members(2).islearner());
}

TEST_F(ServicesTest, AChangeThatCameTooLateIsPlannedAnew) {
  etcdserverpb::MemberRemoveResponse answer;
  answer.add_members()->set_id(22);
  replica_.change_outcomes = {{PublishOutcome::Kind::kConfigurationChanged, {}},
                              {PublishOutcome::Kind::kDropped, {}}};
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {absl::OkStatus(), answer.SerializeAsString()}};
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(33);
  const auto removed = Ask<etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", request);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->members(0).id(), 22u);
  EXPECT_EQ(replica_.changes.size(), 3u);
  EXPECT_EQ(replica_.changes[0].second, raft::Index(6));
  EXPECT_EQ(replica_.reads, 3) << "each from the newest membership";
}

TEST_F(ServicesTest, AChangeWhoseOutcomeIsNotKnownIsNotRepeated) {
  replica_.outcome.kind = PublishOutcome::Kind::kUnknown;
  etcdserverpb::MemberAddRequest request;
  request.add_peerurls("http://h:9");
  EXPECT_EQ(Ask<etcdserverpb::MemberAddResponse>("Cluster/MemberAdd", request).status(),
            ErrorStatus(WireError::kTimeout));
  EXPECT_EQ(replica_.changes.size(), 1u);
  request.clear_peerurls();
  EXPECT_EQ(Ask<etcdserverpb::MemberAddResponse>("Cluster/MemberAdd", request).status(),
            ErrorStatus(WireError::kMemberBadUrls));
  replica_.outcome.kind = PublishOutcome::Kind::kLearnerNotReady;
  state_.known.members[44].is_learner = true;
  etcdserverpb::MemberPromoteRequest promote;
  promote.set_id(44);
  EXPECT_EQ(Ask<etcdserverpb::MemberPromoteResponse>("Cluster/MemberPromote", promote).status(),
            ErrorStatus(WireError::kLearnerNotReady));
}

TEST_F(ServicesTest, ALearnerAndALostStateServeNoWritesAndNoLinearizableReads) {
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  replica_.node.is_learner = true;
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kNotSupportedForLearner));
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kNotSupportedForLearner));
  range.set_serializable(true);
  EXPECT_TRUE(Ask<etcdserverpb::RangeResponse>("KV/Range", range).ok());
  replica_.node.state_lost = true;
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kStateLost));
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kStateLost));
  EXPECT_TRUE(absl::IsUnavailable(ErrorStatus(WireError::kStateLost)));
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

TEST(ErrorsTest, EveryRowHasItsTextAndOnlySureLossesMayBeRetried) {
  std::set<std::string> texts;
  for (int i = 0; i < kWireErrorCount; ++i) {
    const absl::Status status = ErrorStatus(static_cast<WireError>(i));
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(texts.insert(std::string(status.message())).second) << status;
  }
  EXPECT_TRUE(MayRetryWrite(WireError::kLeaderChanged));
  EXPECT_TRUE(MayRetryWrite(WireError::kTooManyRequests));
  EXPECT_FALSE(MayRetryWrite(WireError::kTimeout));
  EXPECT_FALSE(MayRetryWrite(WireError::kStopped));
}

TEST(ErrorsTest, EveryStoreErrorKeepsItsCodeAndText) {
  for (int i = 0; i < store::kErrorCount; ++i) {
    const absl::Status named = store::ErrorStatus(static_cast<store::Error>(i));
    const absl::Status wire = FromStore(named);
    if (static_cast<store::Error>(i) == store::Error::kUndecodable) continue;
    EXPECT_EQ(wire.code(), named.code());
    EXPECT_EQ(wire.message(), named.message());
  }
  EXPECT_EQ(FromStore(absl::DataLossError("disk")), ErrorStatus(WireError::kStateLost));
  EXPECT_EQ(FromStore(store::AppliedAnswerTooLarge(7)),
            absl::ResourceExhaustedError("datum: the request was applied, but its answer is larger "
                                         "than max (7 bytes) and is not sent"));
}

}  // namespace
}  // namespace server
