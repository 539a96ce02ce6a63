// SPDX-License-Identifier: Apache-2.0

#include "server/maintenance_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
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
  registry->AddUnary("/etcdserverpb.Maintenance/Status",
                     rpc::TypedUnary<etcdserverpb::StatusRequest>(
                         [this](const rpc::Call&, const etcdserverpb::StatusRequest&,
                                const rpc::UnaryDone& done) { Status(done); }));
  registry->AddUnary(
      "/etcdserverpb.Maintenance/Alarm",
      rpc::TypedUnary<etcdserverpb::AlarmRequest>(
          [this](const rpc::Call& call, etcdserverpb::AlarmRequest request, rpc::UnaryDone done) {
            etcdserverpb::InternalRaftRequest command;
            command.mutable_alarm()->Swap(&request);
            gate_->Publish(call, command, std::move(done));
          }));
  registry->AddUnary(
      "/etcdserverpb.Maintenance/MoveLeader",
      rpc::TypedUnary<etcdserverpb::MoveLeaderRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MoveLeaderRequest& request,
                 const rpc::UnaryDone& done) { MoveLeader(call, request.targetid(), done); }));
  RegisterUnimplemented(registry, "etcdserverpb.Maintenance",
                        {"Defragment", "Hash", "HashKV", "Snapshot", "Downgrade"});
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
  response.set_storageversion("3.7.0");
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
