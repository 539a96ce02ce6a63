// SPDX-License-Identifier: Apache-2.0

#include "server/cluster_service.h"

#include <utility>

#include "rpc/typed.h"
#include "server/maintenance_service.h"

namespace server {

void ClusterService::Register(rpc::Registry* registry) const {
  registry->AddUnary(
      "/etcdserverpb.Cluster/MemberList",
      rpc::TypedUnary<etcdserverpb::MemberListRequest>(
          [this](const rpc::Call& call, const etcdserverpb::MemberListRequest& request,
                 rpc::UnaryDone done) {
            gate_->Read(call, !request.linearizable(),
                        [this, done = std::move(done)](absl::Status ready) {
                          if (!ready.ok()) return done(ready, "");
                          rpc::Reply(done, absl::OkStatus(), List());
                        });
          }));
  RegisterUnimplemented(registry, "etcdserverpb.Cluster",
                        {"MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote"});
}

etcdserverpb::MemberListResponse ClusterService::List() const {
  etcdserverpb::MemberListResponse response;
  gate_->FillHeader(response.mutable_header());
  const std::vector<membershippb::Member> started = state_->members();
  for (const InitialMember& known : members_) {
    etcdserverpb::Member* member = response.add_members();
    member->set_id(known.id);
    for (const std::string& url : known.peer_urls) member->add_peerurls(url);
    for (const membershippb::Member& said : started) {
      if (said.id() != known.id) continue;
      member->set_name(said.member_attributes().name());
      *member->mutable_clienturls() = said.member_attributes().client_urls();
    }
  }
  return response;
}

}  // namespace server
