// SPDX-License-Identifier: Apache-2.0
//
// lease_parts.h: the time of leases as services need it: LeaseKeeper, or a fake of it.

#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "proto/peer.pb.h"

namespace server {

// Each `done` is called exactly once, from any thread. Errors: the rows of errors.h.
class LeaseClock {
 public:
  virtual ~LeaseClock() = default;

  // The TTL from now on; 0 if there is no such lease.
  using KeepAliveDone = std::function<void(absl::StatusOr<int64_t> ttl)>;
  virtual void KeepAlive(int64_t lease, base::TimePoint deadline, KeepAliveDone done) = 0;

  // Linearizable.
  using TimeToLiveDone = std::function<void(absl::StatusOr<datum::peer::LeaseTimeToLiveAnswer>)>;
  virtual void TimeToLive(int64_t lease, bool keys, base::TimePoint deadline,
                          TimeToLiveDone done) = 0;
};

}  // namespace server
