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
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/pending_writes.h"

namespace store {

// etcd's largest TTL, in seconds (etcd-errors: LeaseTTLTooLarge).
inline constexpr int64_t kLeaseTtlMax = 9'000'000'000;

// Granted TTLs, in seconds, by lease.
using LeaseTtls = std::map<int64_t, int64_t>;

// The leases of a state. Threads: as the reader. Errors: what reading returns, DataLoss.
absl::StatusOr<LeaseTtls> ReadLeases(const Reader& state);

// What one write did to a lease: granted it for a TTL, or ended it.
struct LeaseChange {
  int64_t lease = 0;
  bool granted = false;
  int64_t ttl_seconds = 0;
};
// The changes of leases among the writes of a batch, in order. Threads: any.
void ForEachLeaseChange(std::span<const WriteOperation> batch,
                        absl::FunctionRef<void(const LeaseChange&)> on_change);

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
  LeaseTtls ttl_seconds_;
};

}  // namespace store
