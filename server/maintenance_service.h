// SPDX-License-Identifier: Apache-2.0
//
// maintenance_service.h: etcdserverpb.Maintenance.

#pragma once

#include <functional>

#include "rpc/handler.h"
#include "server/gate.h"
#include "server/parts.h"
#include "server/transfers.h"

namespace server {

class MaintenanceService {
 public:
  // Runs a job on a thread that may take long; false if there are too many.
  using RunLong = std::function<bool(std::function<void()>)>;

  // All must outlive the registry's transport.
  MaintenanceService(const Gate* gate, const State* state, Transfers* transfers, RunLong run_long,
                     uint64_t quota_bytes)
      : gate_(gate),
        state_(state),
        transfers_(transfers),
        run_long_(std::move(run_long)),
        quota_bytes_(quota_bytes) {}

  void Register(rpc::Registry* registry) const;

 private:
  void Status(const rpc::UnaryDone& done) const;
  void MoveLeader(const rpc::Call& call, uint64_t target, const rpc::UnaryDone& done) const;
  void Hash(const rpc::UnaryDone& done) const;
  void HashKv(int64_t revision, rpc::UnaryDone done) const;
  void Downgrade(const etcdserverpb::DowngradeRequest& request, const rpc::UnaryDone& done) const;

  const Gate* const gate_;
  const State* const state_;
  Transfers* const transfers_;
  const RunLong run_long_;
  const uint64_t quota_bytes_;
};

// Registers methods of `service` that answer that they are not there yet.
void RegisterUnimplemented(rpc::Registry* registry, const std::string& service,
                           const std::vector<std::string>& methods);

}  // namespace server
