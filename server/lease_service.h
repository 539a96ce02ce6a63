// SPDX-License-Identifier: Apache-2.0
//
// lease_service.h: etcdserverpb.Lease. Grants and revokes go into the log, keep-alives do not
// (lease_keeper.h).

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/gate.h"
#include "server/lease_parts.h"
#include "server/parts.h"
#include "server/space_gate.h"

namespace server {

// The shortest TTL that is granted, in seconds: one and a half election timeouts, for a new leader
// must be there before clients can renew, and no less than etcd's default, which clients expect.
int64_t LeaseTtlMin(base::Duration election_timeout);

class LeaseService {
 public:
  // All must outlive the registry's transport. `salt` gives random numbers for lease ids.
  LeaseService(const Gate* gate, const SpaceGate* space, const State* state, AnswerMemory* memory,
               LeaseClock* leases, std::function<uint64_t()> salt)
      : gate_(gate),
        space_(space),
        state_(state),
        memory_(memory),
        leases_(leases),
        salt_(std::move(salt)) {}

  void Register(rpc::Registry* registry) const;

  // Grants a lease with an id of the server's choice; `done` gets the LeaseGrantResponse.
  void GrantAny(const rpc::Call& call, int64_t ttl, rpc::UnaryDone done) const {
    PickAndGrant(call, ttl, kPicksMax, std::move(done));
  }

 private:
  class KeepAlives;
  // Another id is picked if one is taken, which chance makes once in 2^63.
  static constexpr int kPicksMax = 4;

  void Grant(const rpc::Call& call, etcdserverpb::LeaseGrantRequest request,
             rpc::UnaryDone done) const;
  void Revoke(const rpc::Call& call, const etcdserverpb::LeaseRevokeRequest& request,
              rpc::UnaryDone done) const;
  void TimeToLive(const rpc::Call& call, const etcdserverpb::LeaseTimeToLiveRequest& request,
                  rpc::UnaryDone done) const;
  void Leases(const rpc::Call& call, rpc::UnaryDone done) const;
  // With an id of its own choice, another one up to `picks` times if it is taken.
  void PickAndGrant(const rpc::Call& call, int64_t ttl, int picks, rpc::UnaryDone done) const;
  void Answer(int64_t lease, int64_t ttl, rpc::Stream* stream) const;
  // The header with this member's newest revision.
  void FillHeader(etcdserverpb::ResponseHeader* header) const;

  const Gate* const gate_;
  const SpaceGate* const space_;
  const State* const state_;
  AnswerMemory* const memory_;
  LeaseClock* const leases_;
  const std::function<uint64_t()> salt_;
};

}  // namespace server
