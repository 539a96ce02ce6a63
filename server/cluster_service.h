// SPDX-License-Identifier: Apache-2.0
//
// cluster_service.h: etcdserverpb.Cluster: the members, and changes of them, on any member.
//
// Headers of this service say revision 0, as etcd's do.

#pragma once

#include <functional>

#include "rpc/handler.h"
#include "server/configuration_changer.h"
#include "server/gate.h"
#include "server/parts.h"

namespace server {

struct ClusterServiceOptions {
  // Changes that would leave or meet an unhealthy cluster are refused.
  bool strict_reconfig_check = true;
  Connections connections;
  // Another number each time; the id of an added member is made from it.
  std::function<uint64_t()> salt;
};

class ClusterService {
 public:
  // All must outlive the registry's transport.
  ClusterService(const Gate* gate, const State* state, const ConfigurationChanger* changer,
                 ClusterServiceOptions options)
      : gate_(gate), state_(state), changer_(changer), options_(std::move(options)) {}

  void Register(rpc::Registry* registry) const;

 private:
  etcdserverpb::MemberListResponse List() const;
  void Change(const rpc::Call& call, Plan plan, rpc::UnaryDone done) const;
  void Add(const rpc::Call& call, const etcdserverpb::MemberAddRequest& request,
           rpc::UnaryDone done) const;

  const Gate* const gate_;
  const State* const state_;
  const ConfigurationChanger* const changer_;
  const ClusterServiceOptions options_;
};

}  // namespace server
