// SPDX-License-Identifier: Apache-2.0
//
// lease.h: which leases there are, and which keys hang on each.
//
// The leases themselves are few and kept in memory, as they stand in the family `lease`; their
// keys stay in the family `lease_key`.
// Threads: the apply thread only.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/pending_writes.h"

namespace store {

// etcd's largest TTL, in seconds (etcd-errors: LeaseTTLTooLarge).
inline constexpr int64_t kLeaseTtlMax = 9'000'000'000;

class LeaseTable {
 public:
  // Errors: what the engine's reads return, DataLoss.
  absl::Status Load(const Reader& state);

  bool Exists(int64_t lease) const { return ttl_seconds_.contains(lease); }
  size_t size() const { return ttl_seconds_.size(); }

  // Errors: kLeaseNotFound for id 0, kLeaseExists, kLeaseTtlTooLarge.
  absl::Status Grant(int64_t lease, int64_t ttl_seconds, PendingWrites* pending);
  // The keys on the lease, in key order.
  static absl::StatusOr<std::vector<std::string>> KeysOf(int64_t lease, const Reader& state);
  // Forgets the lease; its keys are the caller's to delete. Requires: Exists(lease).
  void Remove(int64_t lease, PendingWrites* pending);

 private:
  std::map<int64_t, int64_t> ttl_seconds_;
};

}  // namespace store
