// SPDX-License-Identifier: Apache-2.0
//
// space_gate.h: lets those writes through that there is space for.
//
// Threads: any.

#pragma once

#include "proto/etcd/raft_internal.pb.h"
#include "rpc/handler.h"
#include "server/gate.h"
#include "server/parts.h"
#include "server/quota.h"

namespace server {

class SpaceGate {
 public:
  // All must outlive it.
  SpaceGate(const Gate* gate, const State* state, Quota* quota)
      : gate_(gate), state_(state), quota_(quota) {}

  // As Gate::Publish, for a command that takes space. Errors: kNoSpace besides; the alarm is raised
  // when the answer leaves.
  void Publish(const rpc::Call& call, const etcdserverpb::InternalRaftRequest& request,
               rpc::UnaryDone done) const;

 private:
  const Gate* const gate_;
  const State* const state_;
  Quota* const quota_;
};

}  // namespace server
