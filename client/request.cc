// SPDX-License-Identifier: Apache-2.0

#include "client/request.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"

namespace client {
namespace {

using etcdserverpb::Compare;

Compare::CompareResult RelationOf(std::string_view relation) {
  if (relation == "=") return Compare::EQUAL;
  if (relation == "!=") return Compare::NOT_EQUAL;
  if (relation == ">") return Compare::GREATER;
  CHECK_EQ(relation, "<");
  return Compare::LESS;
}

bool AllRead(const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& ops) {
  return std::all_of(ops.begin(), ops.end(), [](const etcdserverpb::RequestOp& op) {
    return op.has_request_range() || (op.has_request_txn() && IsReadOnly(op.request_txn()));
  });
}

}  // namespace

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (end.empty()) return std::string(kNoEnd);
  end.back() = static_cast<char>(end.back() + 1);
  return end;
}

etcdserverpb::RangeRequest RangeOf(std::string_view key) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(key));
  return request;
}

etcdserverpb::RangeRequest PrefixOf(std::string_view prefix) {
  etcdserverpb::RangeRequest request = RangeOf(prefix.empty() ? kNoEnd : prefix);
  request.set_range_end(PrefixEnd(prefix));
  return request;
}

etcdserverpb::PutRequest PutOf(std::string_view key, std::string_view value) {
  etcdserverpb::PutRequest request;
  request.set_key(std::string(key));
  request.set_value(std::string(value));
  return request;
}

etcdserverpb::DeleteRangeRequest DeleteOf(std::string_view key) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(std::string(key));
  return request;
}

Condition::Condition(Compare::CompareTarget target, std::string_view key) {
  compare_.set_target(target);
  compare_.set_key(std::string(key));
}

Compare Condition::Is(std::string_view relation, int64_t number) && {
  compare_.set_result(RelationOf(relation));
  switch (compare_.target()) {
    case Compare::VERSION:
      compare_.set_version(number);
      break;
    case Compare::CREATE:
      compare_.set_create_revision(number);
      break;
    case Compare::MOD:
      compare_.set_mod_revision(number);
      break;
    case Compare::LEASE:
      compare_.set_lease(number);
      break;
    default:
      LOG(FATAL) << "this target is not a number: " << compare_.target();
  }
  return std::move(compare_);
}

Compare Condition::Is(std::string_view relation, std::string_view value) && {
  CHECK_EQ(compare_.target(), Compare::VALUE);
  compare_.set_result(RelationOf(relation));
  compare_.set_value(std::string(value));
  return std::move(compare_);
}

Condition Timestamp(std::string_view key) { return Condition(Compare::VERSION, key); }
Condition CreateRevision(std::string_view key) { return Condition(Compare::CREATE, key); }
Condition ModRevision(std::string_view key) { return Condition(Compare::MOD, key); }
Condition ValueOf(std::string_view key) { return Condition(Compare::VALUE, key); }
Condition LeaseOf(std::string_view key) { return Condition(Compare::LEASE, key); }

void Transaction::Set(etcdserverpb::RequestOp* op, const etcdserverpb::RangeRequest& request) {
  *op->mutable_request_range() = request;
}

void Transaction::Set(etcdserverpb::RequestOp* op, const etcdserverpb::PutRequest& request) {
  *op->mutable_request_put() = request;
}

void Transaction::Set(etcdserverpb::RequestOp* op,
                      const etcdserverpb::DeleteRangeRequest& request) {
  *op->mutable_request_delete_range() = request;
}

void Transaction::Set(etcdserverpb::RequestOp* op, const etcdserverpb::TxnRequest& request) {
  *op->mutable_request_txn() = request;
}

bool IsReadOnly(const etcdserverpb::TxnRequest& request) {
  return AllRead(request.success()) && AllRead(request.failure());
}

}  // namespace client
