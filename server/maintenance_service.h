// SPDX-License-Identifier: Apache-2.0
//
// maintenance_service.h: etcdserverpb.Maintenance: Status, Alarm and MoveLeader. The rest is
// Unimplemented, and says so by name.

#pragma once

#include "rpc/handler.h"
#include "server/gate.h"
#include "server/parts.h"
#include "server/transfers.h"

namespace server {

class MaintenanceService {
 public:
  // All must outlive the registry's transport.
  MaintenanceService(const Gate* gate, const State* state, Transfers* transfers,
                     uint64_t quota_bytes)
      : gate_(gate), state_(state), transfers_(transfers), quota_bytes_(quota_bytes) {}

  void Register(rpc::Registry* registry) const;

 private:
  void Status(const rpc::UnaryDone& done) const;
  void MoveLeader(const rpc::Call& call, uint64_t target, const rpc::UnaryDone& done) const;

  const Gate* const gate_;
  const State* const state_;
  Transfers* const transfers_;
  const uint64_t quota_bytes_;
};

// Registers methods of `service` that answer that they are not there yet.
void RegisterUnimplemented(rpc::Registry* registry, const std::string& service,
                           const std::vector<std::string>& methods);

}  // namespace server
