// SPDX-License-Identifier: Apache-2.0

#include "store/txn.h"

#include <string_view>

#include "base/status.h"
#include "store/errors.h"
#include "store/range.h"

namespace store {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

template <typename T>
int ThreeWay(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// How the datum stands to what it is compared with. The union's other members read as 0 or empty,
// and a target outside the enum compares as equal, as in etcd.
int Order(const Compare& compare, const Datum& datum) {
  switch (compare.target()) {
    case Compare::VERSION:
      return ThreeWay(datum.timestamp, compare.version());
    case Compare::CREATE:
      return ThreeWay(datum.create_revision, compare.create_revision());
    case Compare::MOD:
      return ThreeWay(datum.mod_revision.main, compare.mod_revision());
    case Compare::VALUE:
      return ThreeWay(datum.value, std::string_view(compare.value()));
    case Compare::LEASE:
      return ThreeWay(datum.lease, compare.lease());
    default:
      return 0;
  }
}

bool Holds(const Compare& compare, const Datum& datum) {
  const int order = Order(compare, datum);
  switch (compare.result()) {
    case Compare::EQUAL:
      return order == 0;
    case Compare::NOT_EQUAL:
      return order != 0;
    case Compare::GREATER:
      return order > 0;
    case Compare::LESS:
      return order < 0;
    default:
      return true;
  }
}

absl::StatusOr<bool> Holds(const Compare& compare, const KeySpace& keys) {
  bool any = false;
  bool holds = true;
  RETURN_IF_ERROR(keys.Scan(KeyRangeOf(compare.key(), compare.range_end()), kNewest,
                            [&](std::string_view, const Datum& datum) {
                              any = true;
                              holds = Holds(compare, datum);
                              return holds;
                            }));
  if (any) return holds;
  // Nothing has no value to compare, not even by "not equal"; its numbers are 0.
  if (compare.target() == Compare::VALUE) return false;
  return Holds(compare, Datum{});
}

absl::Status AppendBranches(const TxnRequest& txn, const KeySpace& keys, Branches* branches) {
  bool succeeded = true;
  for (const Compare& compare : txn.compare()) {
    ASSIGN_OR_RETURN(const bool holds, Holds(compare, keys));
    if (!holds) {
      succeeded = false;
      break;
    }
  }
  branches->push_back(succeeded);
  for (const RequestOp& operation : OperationsOf(txn, succeeded)) {
    if (!operation.has_request_txn()) continue;
    RETURN_IF_ERROR(AppendBranches(operation.request_txn(), keys, branches));
  }
  return absl::OkStatus();
}

absl::Status CheckBranch(const TxnRequest& txn, const Branches& branches, size_t* next_branch,
                         const CheckScope& scope) {
  for (const RequestOp& operation : OperationsOf(txn, branches[(*next_branch)++])) {
    switch (operation.request_case()) {
      case RequestOp::kRequestRange:
        RETURN_IF_ERROR(CheckTxnReadRevision(operation.request_range().revision(), scope.revision,
                                             scope.compact_revision));
        break;
      case RequestOp::kRequestPut:
        RETURN_IF_ERROR(CheckPut(operation.request_put(), scope));
        break;
      case RequestOp::kRequestDeleteRange:
        if (scope.leases == nullptr) {
          return absl::InvalidArgumentError("a delete in a Txn that only reads");
        }
        break;
      case RequestOp::kRequestTxn:
        RETURN_IF_ERROR(CheckBranch(operation.request_txn(), branches, next_branch, scope));
        break;
      case RequestOp::REQUEST_NOT_SET:
        return ErrorStatus(Error::kKeyNotFound);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Branches> ChooseBranches(const TxnRequest& txn, const KeySpace& keys) {
  Branches branches;
  RETURN_IF_ERROR(AppendBranches(txn, keys, &branches));
  return branches;
}

absl::Status CheckPut(const etcdserverpb::PutRequest& put, const CheckScope& scope) {
  if (scope.leases == nullptr) {
    return absl::InvalidArgumentError("a put in a Txn that only reads");
  }
  // The lease first, as etcd: a put may lack both.
  if (put.lease() != 0 && !scope.leases->Exists(put.lease())) {
    return ErrorStatus(Error::kLeaseNotFound);
  }
  if (put.ignore_value() || put.ignore_lease()) {
    ASSIGN_OR_RETURN(const bool found, scope.keys->Get(put.key(), kNewest, [](const Datum&) {}));
    if (!found) return ErrorStatus(Error::kKeyNotFound);
  }
  return absl::OkStatus();
}

absl::Status CheckTxn(const TxnRequest& txn, const Branches& branches, const CheckScope& scope) {
  size_t next_branch = 0;
  return CheckBranch(txn, branches, &next_branch, scope);
}

bool HasPut(const TxnRequest& txn) {
  for (const auto* operations : {&txn.success(), &txn.failure()}) {
    for (const RequestOp& operation : *operations) {
      if (operation.has_request_put()) return true;
      if (operation.has_request_txn() && HasPut(operation.request_txn())) return true;
    }
  }
  return false;
}

}  // namespace store
