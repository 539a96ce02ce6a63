// SPDX-License-Identifier: Apache-2.0
//
// cluster_service.h: etcdserverpb.Cluster: MemberList. Changes are Unimplemented.
//
// Headers of this service say revision 0, as etcd's do.

#pragma once

#include <vector>

#include "rpc/handler.h"
#include "server/config.h"
#include "server/gate.h"
#include "server/parts.h"

namespace server {

class ClusterService {
 public:
  // `members`: the cluster's members; names and client URLs come from the state.
  // All must outlive the registry's transport.
  ClusterService(const Gate* gate, const State* state, std::vector<InitialMember> members)
      : gate_(gate), state_(state), members_(std::move(members)) {}

  void Register(rpc::Registry* registry) const;

 private:
  etcdserverpb::MemberListResponse List() const;

  const Gate* const gate_;
  const State* const state_;
  const std::vector<InitialMember> members_;
};

}  // namespace server
