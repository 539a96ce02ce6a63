// SPDX-License-Identifier: Apache-2.0

#include "server/cluster_service.h"

#include <utility>

#include "base/status.h"
#include "rpc/typed.h"
#include "server/errors.h"

namespace server {
namespace {

constexpr char kService[] = "/etcdserverpb.Cluster/";

template <typename Request>
std::vector<std::string> UrlsOf(const Request& request) {
  return {request.peerurls().begin(), request.peerurls().end()};
}

}  // namespace

void ClusterService::Register(rpc::Registry* registry) const {
  registry->AddUnary(
      std::string(kService) + "MemberList",
      rpc::TypedUnary<etcdserverpb::MemberListRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberListRequest& request,
                 rpc::UnaryDone done) {
            gate_->Read(call, !request.linearizable(),
                        [this, done = std::move(done)](absl::Status ready) {
                          if (!ready.ok()) return done(ready, "");
                          rpc::Reply(done, absl::OkStatus(), List());
                        });
          }));
  registry->AddUnary(
      std::string(kService) + "MemberAdd",
      rpc::TypedUnary<etcdserverpb::MemberAddRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberAddRequest& request,
                 rpc::UnaryDone done) { Add(call, request, std::move(done)); }));
  registry->AddUnary(
      std::string(kService) + "MemberRemove",
      rpc::TypedUnary<etcdserverpb::MemberRemoveRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberRemoveRequest& request,
                 rpc::UnaryDone done) {
            const uint64_t id = request.id();
            Change(
                call,
                [this, id](const Membership& now) -> absl::StatusOr<PlannedChange> {
                  if (options_.strict_reconfig_check) {
                    RETURN_IF_ERROR(CheckRemove(now, id, options_.connections));
                  }
                  return PlanRemove(now, id);
                },
                std::move(done));
          }));
  registry->AddUnary(
      std::string(kService) + "MemberUpdate",
      rpc::TypedUnary<etcdserverpb::MemberUpdateRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberUpdateRequest& request,
                 rpc::UnaryDone done) {
            Change(
                call,
                [id = request.id(), urls = UrlsOf(request)](const Membership& now) {
                  return PlanUpdate(now, id, urls);
                },
                std::move(done));
          }));
  registry->AddUnary(
      std::string(kService) + "MemberPromote",
      rpc::TypedUnary<etcdserverpb::MemberPromoteRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberPromoteRequest& request,
                 rpc::UnaryDone done) {
            const uint64_t id = request.id();
            Change(
                call,
                [this, id](const Membership& now) -> absl::StatusOr<PlannedChange> {
                  ASSIGN_OR_RETURN(const PlannedChange planned, PlanPromote(now, id));
                  if (options_.strict_reconfig_check) RETURN_IF_ERROR(CheckPromote(now, id));
                  return planned;
                },
                std::move(done));
          }));
}

void ClusterService::Add(const rpc::Call& call, const etcdserverpb::MemberAddRequest& request,
                         rpc::UnaryDone done) const {
  Member member;
  member.peer_urls = UrlsOf(request);
  member.is_learner = true;
  member.votes_when_ready = !request.islearner();
  member.id = AddedMemberId(member.peer_urls, options_.salt());
  Change(
      call,
      [this, member](const Membership& now) -> absl::StatusOr<PlannedChange> {
        // etcd looks at the URLs before anything else, and at the others' health before the rest.
        const auto planned = PlanAdd(now, member);
        if (planned.status() == ErrorStatus(WireError::kMemberBadUrls)) return planned;
        if (options_.strict_reconfig_check) {
          RETURN_IF_ERROR(CheckAdd(now, !member.votes_when_ready, options_.connections));
        }
        return planned;
      },
      std::move(done));
}

void ClusterService::Change(const rpc::Call& call, Plan plan, rpc::UnaryDone done) const {
  const absl::Status served = gate_->CheckServed();
  if (!served.ok()) return done(served, "");
  changer_->Change(gate_->DeadlineOf(call), std::move(plan), std::move(done));
}

etcdserverpb::MemberListResponse ClusterService::List() const {
  etcdserverpb::MemberListResponse response;
  gate_->FillHeader(response.mutable_header());
  const Membership membership = state_->membership();
  for (const auto& [id, member] : membership.members) *response.add_members() = WireMember(member);
  return response;
}

}  // namespace server
