// SPDX-License-Identifier: Apache-2.0
//
// txn.h: how a Txn is decided before any of it runs (reference: etcd-api 1.4, 1.11).
//
// All compares, those of nested Txns too, are evaluated against the state before the Txn; then
// every operation on the chosen branches is checked; only then does the first one run.

#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"
#include "store/key_space.h"
#include "store/lease.h"

namespace store {

// For each Txn on the chosen branches, in the order in which they run, whether its compares held.
using Branches = std::vector<bool>;

// Errors: what reading the keys returns.
absl::StatusOr<Branches> ChooseBranches(const etcdserverpb::TxnRequest& txn, const KeySpace& keys);

// What operations are checked against: the state before the Txn.
struct CheckScope {
  const KeySpace* keys = nullptr;
  int64_t revision = 0;
  int64_t compact_revision = 0;
  // Null where no write may occur.
  const LeaseTable* leases = nullptr;
};

// Errors: kKeyNotFound, kLeaseNotFound, and what reading the keys returns.
absl::Status CheckPut(const etcdserverpb::PutRequest& put, const CheckScope& scope);

// Errors: those of the operations on the chosen branches, in their order; kKeyNotFound for an
//         operation without a request (etcd-errors: KeyNotFound); InvalidArgument for a write
//         where none may occur.
absl::Status CheckTxn(const etcdserverpb::TxnRequest& txn, const Branches& branches,
                      const CheckScope& scope);

// Whether some branch, taken or not, puts.
bool HasPut(const etcdserverpb::TxnRequest& txn);

// The operations of one branch.
inline const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& OperationsOf(
    const etcdserverpb::TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success() : txn.failure();
}

}  // namespace store
