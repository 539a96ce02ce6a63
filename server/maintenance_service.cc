// SPDX-License-Identifier: Apache-2.0

#include "server/maintenance_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "rpc/typed.h"
#include "server/errors.h"
#include "server/flags.h"

namespace server {
namespace {

// The form in which clients know an alarm from Status.errors.
std::string AlarmText(const etcdserverpb::AlarmMember& alarm) {
  return absl::StrCat("memberID:", alarm.memberid(),
                      "  alarm:", etcdserverpb::AlarmType_Name(alarm.alarm()));
}

// What etcd's would be one minor below kClusterVersion; a patch may stand behind it.
constexpr char kOneMinorBelow[] = "3.6";

absl::Status CheckDowngradeTarget(const std::string& version) {
  const std::vector<std::string> parts = absl::StrSplit(version, '.');
  const bool formed = (parts.size() == 2 || parts.size() == 3) &&
                      std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
                        uint32_t number;
                        return absl::SimpleAtoi(part, &number);
                      });
  if (!formed) return ErrorStatus(WireError::kDowngradeVersionFormat);
  if (absl::StrCat(parts[0], ".", parts[1]) != kOneMinorBelow) {
    return ErrorStatus(WireError::kDowngradeTarget);
  }
  return absl::OkStatus();
}

}  // namespace

void RegisterUnimplemented(rpc::Registry* registry, const std::string& service,
                           const std::vector<std::string>& methods) {
  for (const std::string& method : methods) {
    const absl::Status status = absl::UnimplementedError(
        absl::StrCat("datum: ", service, "/", method, " is not there yet"));
    registry->AddStream(absl::StrCat("/", service, "/", method),
                        [status](std::shared_ptr<rpc::Stream> stream) {
                          class Silent final : public rpc::StreamHandler {
                            void OnMessage(std::string) override {}
                            void OnHalfClose() override {}
                          };
                          stream->Finish(status);
                          return std::make_unique<Silent>();
                        });
  }
}

void MaintenanceService::Register(rpc::Registry* registry) const {
  const auto add = [&](const char* method, rpc::UnaryHandler handler) {
    registry->AddUnary(std::string("/etcdserverpb.Maintenance/") + method, std::move(handler));
  };
  add("Status", rpc::TypedUnary<etcdserverpb::StatusRequest>(
                    [this](const rpc::Call&, const etcdserverpb::StatusRequest&,
                           const rpc::UnaryDone& done) { Status(done); }));
  add("Alarm",
      rpc::TypedUnary<etcdserverpb::AlarmRequest>(
          [this](const rpc::Call& call, etcdserverpb::AlarmRequest request, rpc::UnaryDone done) {
            etcdserverpb::InternalRaftRequest command;
            command.mutable_alarm()->Swap(&request);
            gate_->Publish(call, command, std::move(done));
          }));
  add("MoveLeader",
      rpc::TypedUnary<etcdserverpb::MoveLeaderRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MoveLeaderRequest& request,
                 const rpc::UnaryDone& done) { MoveLeader(call, request.targetid(), done); }));
  // There is nothing to be defragmented: space comes back by itself, without a pause. The answer
  // has no header, as etcd's.
  add("Defragment",
      rpc::TypedUnary<etcdserverpb::DefragmentRequest>(
          [](const rpc::Call&, const etcdserverpb::DefragmentRequest&, const rpc::UnaryDone& done) {
            rpc::Reply(done, absl::OkStatus(), etcdserverpb::DefragmentResponse());
          }));
  add("Hash", rpc::TypedUnary<etcdserverpb::HashRequest>(
                  [this](const rpc::Call&, const etcdserverpb::HashRequest&,
                         const rpc::UnaryDone& done) { Hash(done); }));
  add("HashKV", rpc::TypedUnary<etcdserverpb::HashKVRequest>(
                    [this](const rpc::Call&, const etcdserverpb::HashKVRequest& request,
                           rpc::UnaryDone done) { HashKv(request.revision(), std::move(done)); }));
  add("Downgrade", rpc::TypedUnary<etcdserverpb::DowngradeRequest>(
                       [this](const rpc::Call&, const etcdserverpb::DowngradeRequest& request,
                              const rpc::UnaryDone& done) { Downgrade(request, done); }));
}

void MaintenanceService::Hash(const rpc::UnaryDone& done) const {
  etcdserverpb::HashResponse response;
  gate_->FillHeader(response.mutable_header());
  response.mutable_header()->set_revision(state_->revision());
  const uint64_t hash = state_->state_hash();
  response.set_hash(static_cast<uint32_t>(hash ^ hash >> 32));
  rpc::Reply(done, absl::OkStatus(), response);
}

void MaintenanceService::HashKv(int64_t revision, rpc::UnaryDone done) const {
  auto shared = std::make_shared<rpc::UnaryDone>(std::move(done));
  const bool taken = run_long_([this, revision, shared] {
    if (gate_->stopping()) return (*shared)(ErrorStatus(WireError::kStopped), "");
    etcdserverpb::HashKVResponse response;
    gate_->FillHeader(response.mutable_header());
    const absl::Status status = state_->HashKv(revision, &response);
    rpc::Reply(*shared, FromStore(status), response);
  });
  if (!taken) (*shared)(ErrorStatus(WireError::kTooManyRequests), "");
}

// There is no older version of this server: whoever asks is told so, and nothing is changed.
void MaintenanceService::Downgrade(const etcdserverpb::DowngradeRequest& request,
                                   const rpc::UnaryDone& done) const {
  if (request.action() == etcdserverpb::DowngradeRequest::CANCEL) {
    etcdserverpb::DowngradeResponse response;
    gate_->FillHeader(response.mutable_header());
    response.mutable_header()->set_revision(state_->revision());
    response.set_version(kClusterVersion);
    return rpc::Reply(done, absl::OkStatus(), response);
  }
  if (!etcdserverpb::DowngradeRequest::DowngradeAction_IsValid(request.action())) {
    return done(ErrorStatus(WireError::kUnknownMethod), "");
  }
  const absl::Status target = CheckDowngradeTarget(request.version());
  if (!target.ok()) return done(target, "");
  done(absl::UnimplementedError("datum: there is no older version to go back to"), "");
}

// The answer has no header, as etcd's.
void MaintenanceService::MoveLeader(const rpc::Call& call, uint64_t target,
                                    const rpc::UnaryDone& done) const {
  const raft::NodeStatus node = gate_->replica().status();
  if (node.leader != node.self) return done(ErrorStatus(WireError::kNotLeader), "");
  if (target == node.self.value()) return done(absl::OkStatus(), "");
  const Membership membership = state_->membership();
  const Member* successor = membership.Find(target);
  if (successor == nullptr || successor->is_learner) {
    return done(ErrorStatus(WireError::kBadLeaderTransferee), "");
  }
  transfers_->Add(raft::NodeId(target), node, gate_->DeadlineOf(call),
                  [done](const absl::Status& ended) { done(ended, ""); });
  gate_->replica().TransferLeadership(raft::NodeId(target));
}

void MaintenanceService::Status(const rpc::UnaryDone& done) const {
  const raft::NodeStatus node = gate_->replica().status();
  etcdserverpb::StatusResponse response;
  gate_->FillHeader(response.mutable_header());
  response.mutable_header()->set_revision(state_->revision());
  response.set_version(kApiVersion);
  response.set_storageversion(absl::StrCat(kClusterVersion, ".0"));
  response.set_dbsize(state_->size_bytes());
  response.set_dbsizeinuse(state_->size_in_use_bytes());
  response.set_dbsizequota(static_cast<int64_t>(quota_bytes_));
  response.set_leader(node.leader.value());
  response.set_raftindex(node.commit_index.value());
  response.set_raftterm(node.term.value());
  response.set_raftappliedindex(node.applied_index.value());
  response.set_islearner(node.is_learner);
  response.mutable_downgradeinfo();
  if (node.leader == raft::kNobody) {
    response.add_errors(std::string(ErrorStatus(WireError::kNoLeader).message()));
  }
  if (node.state_lost) {
    response.add_errors(std::string(ErrorStatus(WireError::kStateLost).message()));
  }
  for (const auto& alarm : state_->alarms()) response.add_errors(AlarmText(alarm));
  rpc::Reply(done, absl::OkStatus(), response);
}

}  // namespace server
