// SPDX-License-Identifier: Apache-2.0

#include "server/validate.h"

#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "server/errors.h"

namespace server {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

RequestOp Put(const std::string& key) {
  RequestOp op;
  op.mutable_request_put()->set_key(key);
  return op;
}
RequestOp Delete(const std::string& key, const std::string& end = "") {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(end);
  return op;
}
RequestOp Get(const std::string& key, bool serializable = false) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  op.mutable_request_range()->set_serializable(serializable);
  return op;
}
TxnRequest Txn(const std::vector<RequestOp>& success, const std::vector<RequestOp>& failure = {}) {
  TxnRequest txn;
  for (const RequestOp& op : success) *txn.add_success() = op;
  for (const RequestOp& op : failure) *txn.add_failure() = op;
  return txn;
}
RequestOp Nested(const TxnRequest& txn) {
  RequestOp op;
  *op.mutable_request_txn() = txn;
  return op;
}

const absl::Status kDuplicate = ErrorStatus(WireError::kDuplicateKey);

TEST(ValidateTest, SingleRequests) {
  etcdserverpb::RangeRequest range;
  EXPECT_EQ(CheckRange(range), ErrorStatus(WireError::kEmptyKey));
  range.set_key("k");
  EXPECT_TRUE(CheckRange(range).ok());
  range.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(9));
  EXPECT_EQ(CheckRange(range), ErrorStatus(WireError::kInvalidSortOption));

  etcdserverpb::PutRequest put;
  EXPECT_EQ(CheckPut(put), ErrorStatus(WireError::kEmptyKey));
  put.set_key("k");
  put.set_value("v");
  put.set_ignore_value(true);
  EXPECT_EQ(CheckPut(put), ErrorStatus(WireError::kValueProvided));
  put.clear_value();
  put.set_lease(1);
  put.set_ignore_lease(true);
  EXPECT_EQ(CheckPut(put), ErrorStatus(WireError::kLeaseProvided));
  EXPECT_EQ(CheckDeleteRange({}), ErrorStatus(WireError::kEmptyKey));
}

TEST(ValidateTest, TxnCountsItsOperationsAndNestedOnesHaveWhatIsLeft) {
  EXPECT_TRUE(CheckTxn(Txn({Put("a"), Put("b")}), 2).ok());
  EXPECT_EQ(CheckTxn(Txn({Put("a"), Put("b"), Put("c")}), 2), ErrorStatus(WireError::kTooManyOps));
  const TxnRequest inner = Txn({Put("a"), Put("b")});
  EXPECT_TRUE(CheckTxn(Txn({Nested(inner)}), 3).ok());
  EXPECT_EQ(CheckTxn(Txn({Nested(inner)}), 2), ErrorStatus(WireError::kTooManyOps));
}

TEST(ValidateTest, TxnLooksAtEveryOperation) {
  EXPECT_EQ(CheckTxn(Txn({RequestOp()}), 8), ErrorStatus(WireError::kKeyNotFound));
  EXPECT_EQ(CheckTxn(Txn({}, {Put("")}), 8), ErrorStatus(WireError::kEmptyKey));
  EXPECT_EQ(CheckTxn(Txn({Nested(Txn({Delete("")}))}), 8), ErrorStatus(WireError::kEmptyKey));
  TxnRequest compare;
  compare.add_compare();
  EXPECT_EQ(CheckTxn(compare, 8), ErrorStatus(WireError::kEmptyKey));
}

TEST(ValidateTest, AKeyIsWrittenOnceOnAPath) {
  EXPECT_EQ(CheckTxn(Txn({Put("a"), Put("a")}), 8), kDuplicate);
  EXPECT_TRUE(CheckTxn(Txn({Put("a")}, {Put("a")}), 8).ok());
  EXPECT_EQ(CheckTxn(Txn({Put("b"), Delete("a", "c")}), 8), kDuplicate);
  EXPECT_EQ(CheckTxn(Txn({Delete("a", "c"), Put("b")}), 8), kDuplicate);
  EXPECT_TRUE(CheckTxn(Txn({Put("c"), Delete("a", "c")}), 8).ok());
  EXPECT_EQ(CheckTxn(Txn({Put("z"), Delete("a", std::string(1, '\0'))}), 8), kDuplicate);
  EXPECT_EQ(CheckTxn(Txn({Put("a"), Delete("a")}), 8), kDuplicate);
  EXPECT_TRUE(CheckTxn(Txn({Put("ab"), Delete("a")}), 8).ok());
  EXPECT_TRUE(CheckTxn(Txn({Delete("a", "c"), Delete("b", "d")}), 8).ok());
  EXPECT_TRUE(CheckTxn(Txn({Put("b"), Delete("c", "a")}), 8).ok());
}

TEST(ValidateTest, BranchesOfANestedTxnExcludeEachOtherButNotTheRest) {
  const RequestOp both = Nested(Txn({Put("a")}, {Delete("a", "b")}));
  EXPECT_TRUE(CheckTxn(Txn({both}), 8).ok());
  EXPECT_EQ(CheckTxn(Txn({both, Put("a")}), 8), kDuplicate);
  EXPECT_EQ(CheckTxn(Txn({Delete("a", "z"), both}), 8), kDuplicate);
  EXPECT_EQ(CheckTxn(Txn({both, Nested(Txn({}, {Put("a")}))}), 8), kDuplicate);
  EXPECT_EQ(CheckTxn(Txn({Nested(Txn({Put("b"), Delete("a", "c")}))}), 8), kDuplicate);
}

// The sweep against every pair.
TEST(ValidateTest, TheDuplicateRuleEqualsItsDefinition) {
  base::Random random(1);
  int duplicates = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<RequestOp> ops;
    const auto letter = [&] { return std::string(1, static_cast<char>('a' + random.Below(9))); };
    for (uint64_t n = random.Below(6); n > 0; --n) {
      ops.push_back(random.Chance(0.5) ? Put(letter())
                    : random.Chance(0.3)
                        ? Delete(letter())
                        : Delete(letter(), random.Chance(0.1) ? std::string(1, '\0') : letter()));
    }
    bool duplicate = false;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (!ops[i].has_request_put()) continue;
      const std::string& key = ops[i].request_put().key();
      for (size_t j = 0; j < ops.size(); ++j) {
        if (i == j) continue;
        if (ops[j].has_request_put()) {
          duplicate |= ops[j].request_put().key() == key;
          continue;
        }
        const auto& range = ops[j].request_delete_range();
        duplicate |= range.range_end().empty() ? range.key() == key
                     : range.range_end() == std::string(1, '\0')
                         ? range.key() <= key
                         : range.key() <= key && key < range.range_end();
      }
    }
    duplicates += duplicate;
    EXPECT_EQ(CheckTxn(Txn(ops), 8).ok(), !duplicate) << Txn(ops).ShortDebugString();
  }
  EXPECT_GT(duplicates, 500);
}

TEST(ValidateTest, WhatAnswersWithValues) {
  EXPECT_FALSE(AnswersValues(Txn({Put("a"), Delete("b")}, {Nested(Txn({Put("a")}))})));
  EXPECT_TRUE(AnswersValues(Txn({Put("a")}, {Get("a")})));
  EXPECT_TRUE(AnswersValues(Txn({Nested(Txn({}, {Get("a")}))})));
  for (RequestOp op : {Put("a"), Delete("a")}) {
    if (op.has_request_put()) op.mutable_request_put()->set_prev_kv(true);
    if (op.has_request_delete_range()) op.mutable_request_delete_range()->set_prev_kv(true);
    EXPECT_TRUE(AnswersValues(Txn({op})));
  }
}

TEST(ValidateTest, ReadOnlyAndSerializable) {
  EXPECT_TRUE(IsReadOnly(Txn({})));
  EXPECT_FALSE(IsSerializable(Txn({})));
  EXPECT_TRUE(IsReadOnly(Txn({Get("a")}, {Nested(Txn({Get("b")}))})));
  EXPECT_FALSE(IsReadOnly(Txn({Get("a")}, {Nested(Txn({Delete("b")}))})));
  EXPECT_TRUE(IsSerializable(Txn({Get("a", true)})));
  EXPECT_FALSE(IsSerializable(Txn({Get("a", true)}, {Get("b")})));
}

}  // namespace
}  // namespace server
