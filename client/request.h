// SPDX-License-Identifier: Apache-2.0
//
// request.h: the usual requests in a line each, and a Txn that reads as what it does:
//
//   client::Transaction transaction;
//   transaction.If(client::ModRevision("lock").Is("=", 0))
//       .Then(client::PutOf("lock", "me"))
//       .Else(client::RangeOf("lock"));
//   client->Txn(transaction.request());
//
// Every other option is a field of the message itself.
//
// Threads: values, as any other.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/etcd/rpc.pb.h"

namespace client {

// The end of the range of all keys that begin with `prefix`; a zero byte (no end) if there is no
// such key above.
std::string PrefixEnd(std::string_view prefix);

// As range_end: every key from the first one on.
inline constexpr std::string_view kNoEnd("\0", 1);

etcdserverpb::RangeRequest RangeOf(std::string_view key);
// An empty prefix is every key.
etcdserverpb::RangeRequest PrefixOf(std::string_view prefix);
etcdserverpb::PutRequest PutOf(std::string_view key, std::string_view value);
etcdserverpb::DeleteRangeRequest DeleteOf(std::string_view key);

// One condition on a key, on the way to being complete.
class Condition {
 public:
  Condition(etcdserverpb::Compare::CompareTarget target, std::string_view key);

  // `relation` is "=", "!=", ">" or "<". Requires: one of these, and a target that is a number.
  etcdserverpb::Compare Is(std::string_view relation, int64_t number) &&;
  // The same for ValueOf.
  etcdserverpb::Compare Is(std::string_view relation, std::string_view value) &&;

 private:
  etcdserverpb::Compare compare_;
};

// A key that does not exist compares as 0, and as a value with nothing, not even as unequal.
Condition Timestamp(std::string_view key);  // etcd's version
Condition CreateRevision(std::string_view key);
Condition ModRevision(std::string_view key);
Condition ValueOf(std::string_view key);
Condition LeaseOf(std::string_view key);

class Transaction {
 public:
  template <typename... Compares>
  Transaction& If(const Compares&... compares) {
    (AddCompare(compares), ...);
    return *this;
  }
  // Operations are RangeRequest, PutRequest, DeleteRangeRequest or another TxnRequest.
  template <typename... Requests>
  Transaction& Then(const Requests&... requests) {
    (Set(request_.add_success(), requests), ...);
    return *this;
  }
  template <typename... Requests>
  Transaction& Else(const Requests&... requests) {
    (Set(request_.add_failure(), requests), ...);
    return *this;
  }

  const etcdserverpb::TxnRequest& request() const { return request_; }

 private:
  void AddCompare(const etcdserverpb::Compare& compare) { *request_.add_compare() = compare; }
  static void Set(etcdserverpb::RequestOp* op, const etcdserverpb::RangeRequest& request);
  static void Set(etcdserverpb::RequestOp* op, const etcdserverpb::PutRequest& request);
  static void Set(etcdserverpb::RequestOp* op, const etcdserverpb::DeleteRangeRequest& request);
  static void Set(etcdserverpb::RequestOp* op, const etcdserverpb::TxnRequest& request);

  etcdserverpb::TxnRequest request_;
};

// True if no branch, however deep, writes.
bool IsReadOnly(const etcdserverpb::TxnRequest& request);

}  // namespace client
