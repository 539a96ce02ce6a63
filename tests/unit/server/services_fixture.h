// SPDX-License-Identifier: Apache-2.0
//
// services_fixture.h: the services over a replica and a state that do as they are told.

#pragma once
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
    if (txn_value_bytes == 0) return absl::OkStatus();
    response->add_responses()->mutable_response_range()->add_kvs()->set_value(
        std::string(txn_value_bytes, 'v'));
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
  size_t txn_value_bytes = 0;
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
        kv_(&gate_, &space_, &state_, &memory_, &compactions_, 4),
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
  CompactionWaiters compactions_;
  KvService kv_;
  Transfers transfers_;
  MaintenanceService maintenance_;
  ConfigurationChanger changer_;
  ClusterService cluster_;
  rpc::Registry registry_;
};

inline etcdserverpb::PutRequest PutOf(const std::string& key) {
  etcdserverpb::PutRequest put;
  put.set_key(key);
  return put;
}

}  // namespace server
