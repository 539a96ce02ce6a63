// SPDX-License-Identifier: Apache-2.0

#include "server/validate.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "server/errors.h"

namespace server {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Ops = google::protobuf::RepeatedPtrField<RequestOp>;

// What one list of operations writes. `op` is the place in the list of the operation it comes
// from: two writes of one operation are in exclusive branches of a nested Txn, checked there.
struct PutKey {
  std::string_view key;
  int op;
};
struct DeletedRange {
  std::string_view begin;
  std::string_view end;  // no meaning if `single` or `open`
  bool single;           // the key `begin` alone
  bool open;             // every key from `begin` on
  int op;

  bool Holds(std::string_view key) const {
    if (key < begin) return false;
    return open || (single ? key == begin : key < end);
  }
};
struct Footprint {
  std::vector<PutKey> puts;
  std::vector<DeletedRange> deletes;
};

// Orders ranges by where they end: an open one ends last, a single one right behind its begin.
bool EndsBefore(const DeletedRange& a, const DeletedRange& b) {
  if (a.open || b.open) return !a.open && b.open;
  const std::string_view a_end = a.single ? a.begin : a.end;
  const std::string_view b_end = b.single ? b.begin : b.end;
  if (a_end != b_end) return a_end < b_end;
  return !a.single && b.single;
}

bool SameKeyTwice(const std::vector<PutKey>& puts) {
  std::unordered_map<std::string_view, int> op_of;
  for (const PutKey& put : puts) {
    const auto [found, added] = op_of.emplace(put.key, put.op);
    if (!added && found->second != put.op) return true;
  }
  return false;
}

// A sweep in key order. Of the deletes that began, only the two that reach farthest and come from
// different operations can matter, so it is linear after the sort.
bool PutInsideADelete(Footprint* footprint) {
  auto& puts = footprint->puts;
  auto& deletes = footprint->deletes;
  std::sort(puts.begin(), puts.end(),
            [](const PutKey& a, const PutKey& b) { return a.key < b.key; });
  std::sort(deletes.begin(), deletes.end(),
            [](const DeletedRange& a, const DeletedRange& b) { return a.begin < b.begin; });
  const DeletedRange* farthest = nullptr;
  const DeletedRange* second = nullptr;  // of another operation than `farthest`
  size_t begun = 0;
  for (const PutKey& put : puts) {
    for (; begun < deletes.size() && deletes[begun].begin <= put.key; ++begun) {
      const DeletedRange* range = &deletes[begun];
      if (farthest == nullptr || EndsBefore(*farthest, *range)) {
        if (farthest != nullptr && farthest->op != range->op) second = farthest;
        farthest = range;
      } else if (range->op != farthest->op && (second == nullptr || EndsBefore(*second, *range))) {
        second = range;
      }
    }
    for (const DeletedRange* range : {farthest, second}) {
      if (range != nullptr && range->op != put.op && range->Holds(put.key)) return true;
    }
  }
  return false;
}

absl::StatusOr<Footprint> CheckedFootprint(const Ops& ops);

absl::Status AddNested(const TxnRequest& txn, int op, Footprint* footprint) {
  for (const Ops* branch : {&txn.success(), &txn.failure()}) {
    ASSIGN_OR_RETURN(Footprint nested, CheckedFootprint(*branch));
    for (PutKey put : nested.puts) {
      put.op = op;
      footprint->puts.push_back(put);
    }
    for (DeletedRange range : nested.deletes) {
      range.op = op;
      footprint->deletes.push_back(range);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Footprint> CheckedFootprint(const Ops& ops) {
  Footprint footprint;
  for (int op = 0; op < ops.size(); ++op) {
    switch (ops[op].request_case()) {
      case RequestOp::kRequestPut:
        footprint.puts.push_back({ops[op].request_put().key(), op});
        break;
      case RequestOp::kRequestDeleteRange: {
        const auto& request = ops[op].request_delete_range();
        const std::string_view end = request.range_end();
        const bool open = end == std::string_view("\0", 1);
        if (!open && !end.empty() && end <= request.key()) break;  // no key is in it
        footprint.deletes.push_back({request.key(), end, end.empty(), open, op});
        break;
      }
      case RequestOp::kRequestTxn:
        RETURN_IF_ERROR(AddNested(ops[op].request_txn(), op, &footprint));
        break;
      default:
        break;
    }
  }
  if (SameKeyTwice(footprint.puts) || PutInsideADelete(&footprint)) {
    return ErrorStatus(WireError::kDuplicateKey);
  }
  return footprint;
}

absl::Status CheckOps(const TxnRequest& request, int ops_max);

absl::Status CheckOp(const RequestOp& op, int ops_max) {
  switch (op.request_case()) {
    case RequestOp::kRequestRange:
      return CheckRange(op.request_range());
    case RequestOp::kRequestPut:
      return CheckPut(op.request_put());
    case RequestOp::kRequestDeleteRange:
      return CheckDeleteRange(op.request_delete_range());
    case RequestOp::kRequestTxn:
      return CheckOps(op.request_txn(), ops_max);
    case RequestOp::REQUEST_NOT_SET:
      break;
  }
  // What etcd says to an operation without a request.
  return ErrorStatus(WireError::kKeyNotFound);
}

absl::Status CheckOps(const TxnRequest& request, int ops_max) {
  const int used =
      std::max({request.compare_size(), request.success_size(), request.failure_size()});
  if (used > ops_max) return ErrorStatus(WireError::kTooManyOps);
  for (const auto& compare : request.compare()) {
    if (compare.key().empty()) return ErrorStatus(WireError::kEmptyKey);
  }
  for (const Ops* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) RETURN_IF_ERROR(CheckOp(op, ops_max - used));
  }
  return absl::OkStatus();
}

bool AllRanges(const Ops& ops, bool serializable_wanted, bool* any) {
  for (const RequestOp& op : ops) {
    if (op.has_request_range()) {
      *any = true;
      if (serializable_wanted && !op.request_range().serializable()) return false;
    } else if (op.has_request_txn()) {
      const TxnRequest& txn = op.request_txn();
      if (!AllRanges(txn.success(), serializable_wanted, any)) return false;
      if (!AllRanges(txn.failure(), serializable_wanted, any)) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::Status CheckRange(const etcdserverpb::RangeRequest& request) {
  if (request.key().empty()) return ErrorStatus(WireError::kEmptyKey);
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !etcdserverpb::RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return ErrorStatus(WireError::kInvalidSortOption);
  }
  return absl::OkStatus();
}

absl::Status CheckRangeStream(const etcdserverpb::RangeRequest& request) {
  RETURN_IF_ERROR(CheckRange(request));
  const bool by_key = request.sort_target() == etcdserverpb::RangeRequest::KEY;
  if (request.sort_order() == etcdserverpb::RangeRequest::DESCEND ||
      (request.sort_order() == etcdserverpb::RangeRequest::ASCEND && !by_key)) {
    return ErrorStatus(WireError::kStreamSort);
  }
  if (request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
      request.min_create_revision() != 0 || request.max_create_revision() != 0) {
    return ErrorStatus(WireError::kStreamFilter);
  }
  return absl::OkStatus();
}

absl::Status CheckPut(const etcdserverpb::PutRequest& request) {
  if (request.key().empty()) return ErrorStatus(WireError::kEmptyKey);
  if (request.ignore_value() && !request.value().empty()) {
    return ErrorStatus(WireError::kValueProvided);
  }
  if (request.ignore_lease() && request.lease() != 0) {
    return ErrorStatus(WireError::kLeaseProvided);
  }
  return absl::OkStatus();
}

absl::Status CheckDeleteRange(const etcdserverpb::DeleteRangeRequest& request) {
  if (request.key().empty()) return ErrorStatus(WireError::kEmptyKey);
  return absl::OkStatus();
}

absl::Status CheckTxn(const TxnRequest& request, int ops_max) {
  RETURN_IF_ERROR(CheckOps(request, ops_max));
  for (const Ops* branch : {&request.success(), &request.failure()}) {
    RETURN_IF_ERROR(CheckedFootprint(*branch).status());
  }
  return absl::OkStatus();
}

bool IsReadOnly(const TxnRequest& request) {
  bool any = false;
  return AllRanges(request.success(), false, &any) && AllRanges(request.failure(), false, &any);
}

bool IsSerializable(const TxnRequest& request) {
  bool any = false;
  return AllRanges(request.success(), true, &any) && AllRanges(request.failure(), true, &any) &&
         any;
}

bool AnswersValues(const TxnRequest& request) {
  for (const Ops* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_range() || op.request_put().prev_kv() ||
          op.request_delete_range().prev_kv()) {
        return true;
      }
      if (op.has_request_txn() && AnswersValues(op.request_txn())) return true;
    }
  }
  return false;
}

}  // namespace server
