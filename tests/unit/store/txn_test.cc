// SPDX-License-Identifier: Apache-2.0
//
// Transactions (reference: etcd-api 1.4, 1.11). Random ones are in versions_model_test.

#include "store/txn.h"

#include <string>

#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::InternalRaftRequest;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

class TxnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(driver_.Put("a", "1").ok());
    ASSERT_TRUE(driver_.Put("b", "2").ok());
  }

  bool Holds(const Compare& compare) {
    TxnRequest txn;
    *txn.add_compare() = compare;
    TxnResponse response;
    const absl::Status status = driver_->ReadTxn(txn, 4, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response.succeeded();
  }

  static Compare OnKey(const std::string& key, Compare::CompareTarget target,
                       Compare::CompareResult result) {
    Compare compare;
    compare.set_key(key);
    compare.set_target(target);
    compare.set_result(result);
    return compare;
  }

  static void AddPut(TxnRequest* txn, const std::string& key, const std::string& value) {
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(value);
  }

  raft::ApplyResult Apply(const TxnRequest& txn) {
    InternalRaftRequest request;
    *request.mutable_txn() = txn;
    return driver_.Apply(request);
  }

  TxnResponse Answer(const TxnRequest& txn) {
    InternalRaftRequest request;
    *request.mutable_txn() = txn;
    return driver_.Answer<TxnResponse>(request);
  }

  MachineDriver driver_;
};

TEST_F(TxnTest, AMissingKeyHasNumbersZeroAndNoValue) {
  EXPECT_TRUE(Holds(OnKey("none", Compare::VERSION, Compare::EQUAL)));
  EXPECT_TRUE(Holds(OnKey("none", Compare::MOD, Compare::EQUAL)));
  EXPECT_FALSE(Holds(OnKey("none", Compare::VERSION, Compare::GREATER)));
  EXPECT_FALSE(Holds(OnKey("none", Compare::VALUE, Compare::EQUAL)));
  EXPECT_FALSE(Holds(OnKey("none", Compare::VALUE, Compare::NOT_EQUAL)));
}

TEST_F(TxnTest, EveryKeyOfARangeMustMatch) {
  Compare compare = OnKey("a", Compare::VERSION, Compare::EQUAL);
  compare.set_range_end("c");
  compare.set_version(1);
  EXPECT_TRUE(Holds(compare));
  compare = OnKey("a", Compare::VALUE, Compare::EQUAL);
  compare.set_range_end("c");
  compare.set_value("1");
  EXPECT_FALSE(Holds(compare));
}

TEST_F(TxnTest, OutsideTheEnums) {
  EXPECT_TRUE(Holds(OnKey("a", Compare::VERSION, static_cast<Compare::CompareResult>(9))));
  const auto target = static_cast<Compare::CompareTarget>(9);
  EXPECT_TRUE(Holds(OnKey("a", target, Compare::EQUAL)));
  EXPECT_FALSE(Holds(OnKey("a", target, Compare::NOT_EQUAL)));
  Compare mixed = OnKey("a", Compare::VERSION, Compare::EQUAL);
  mixed.set_mod_revision(1);
  EXPECT_FALSE(Holds(mixed)) << "another union member reads as 0, and the version is 1";
}

TEST_F(TxnTest, AllItsChangesShareOneRevision) {
  TxnRequest txn;
  AddPut(&txn, "x", "1");
  AddPut(&txn, "y", "1");
  auto* range = txn.add_success()->mutable_request_range();
  range->set_key("x");
  const TxnResponse response = Answer(txn);
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 4);
  EXPECT_EQ(response.responses(0).response_put().header().revision(), 4);
  EXPECT_EQ(response.responses(0).response_put().header().cluster_id(), 0u)
      << "inner headers have a revision alone";
  EXPECT_EQ(response.responses(2).response_range().kvs(0).mod_revision(), 4) << "sees the put";
  EXPECT_EQ(driver_.Get("y").kvs(0).mod_revision(), 4);
}

TEST_F(TxnTest, NothingWrittenNothingCounted) {
  EXPECT_EQ(Answer(TxnRequest()).header().revision(), 3);
  TxnRequest failing;
  *failing.add_compare() = OnKey("none", Compare::VERSION, Compare::GREATER);
  AddPut(&failing, "x", "1");
  const TxnResponse response = Answer(failing);
  EXPECT_FALSE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 3);
}

TEST_F(TxnTest, ComparesOfNestedTxnsSeeTheStateBefore) {
  TxnRequest txn;
  AddPut(&txn, "a", "9");
  auto* nested = txn.add_success()->mutable_request_txn();
  Compare compare = OnKey("a", Compare::VALUE, Compare::EQUAL);
  compare.set_value("1");
  *nested->add_compare() = compare;
  AddPut(nested, "nested", "ran");
  const TxnResponse response = Answer(txn);
  const TxnResponse& inner = response.responses(1).response_txn();
  EXPECT_TRUE(inner.succeeded());
  EXPECT_TRUE(inner.has_header());
  EXPECT_EQ(inner.header().revision(), 0) << "etcd 3.7.1 leaves it empty";
  EXPECT_EQ(inner.responses(0).response_put().header().revision(), 4);
  EXPECT_EQ(driver_.Get("nested").kvs(0).value(), "ran");
}

TEST_F(TxnTest, ARefusedOperationLeavesNoTrace) {
  const uint64_t bytes = driver_->logical_bytes();
  TxnRequest txn;
  AddPut(&txn, "x", "1");
  auto* nested = txn.add_success()->mutable_request_txn();
  AddPut(nested, "y", "1");
  auto* range = nested->add_success()->mutable_request_range();
  range->set_key("a");
  range->set_revision(4);
  EXPECT_EQ(ErrorOf(Apply(txn).status), Error::kFutureRevision)
      << "the revision the Txn itself would make is still ahead";
  range->set_revision(2);
  ASSERT_TRUE(driver_.Compact(3).ok());
  EXPECT_EQ(ErrorOf(Apply(txn).status), Error::kCompacted) << "etcd #18667";
  range->set_revision(3);
  nested->mutable_success(0)->mutable_request_put()->set_lease(99);
  EXPECT_EQ(ErrorOf(Apply(txn).status), Error::kLeaseNotFound);
  txn.add_success();
  nested->mutable_success(0)->mutable_request_put()->set_lease(0);
  EXPECT_EQ(ErrorOf(Apply(txn).status), Error::kKeyNotFound) << "an operation without a request";
  EXPECT_EQ(driver_.Get("x").count(), 0);
  EXPECT_EQ(driver_->revision(), 3);
  EXPECT_EQ(driver_->logical_bytes(), bytes);
}

TEST_F(TxnTest, AMissingLeaseIsNamedBeforeAMissingKey) {
  InternalRaftRequest request;
  request.mutable_put()->set_key("none");
  request.mutable_put()->set_ignore_value(true);
  request.mutable_put()->set_lease(99);
  EXPECT_EQ(ErrorOf(driver_.Apply(request).status), Error::kLeaseNotFound);
  TxnRequest txn;
  *txn.add_success()->mutable_request_put() = request.put();
  EXPECT_EQ(ErrorOf(Apply(txn).status), Error::kLeaseNotFound);
  request.mutable_put()->set_lease(0);
  EXPECT_EQ(ErrorOf(driver_.Apply(request).status), Error::kKeyNotFound);
}

TEST_F(TxnTest, WhatLiesDeepIsDecoded) {
  for (const int depth : {49, 50, 128, 500}) {
    TxnRequest txn;
    AddPut(&txn, "deep", std::to_string(depth));
    for (int i = 1; i < depth; ++i) {
      TxnRequest outer;
      outer.add_success()->mutable_request_txn()->Swap(&txn);
      txn.Swap(&outer);
    }
    EXPECT_TRUE(Apply(txn).status.ok()) << depth;
    EXPECT_EQ(driver_.Get("deep").kvs(0).value(), std::to_string(depth));
  }
}

TEST_F(TxnTest, AReadOnlyTxnReadsOneMomentAndRefusesWrites) {
  TxnRequest txn;
  for (const char* key : {"a", "b"}) {
    txn.add_success()->mutable_request_range()->set_key(key);
  }
  TxnResponse response;
  ASSERT_TRUE(driver_->ReadTxn(txn, 4, &response).ok());
  EXPECT_EQ(response.header().revision(), 3);
  EXPECT_EQ(response.responses(1).response_range().kvs(0).value(), "2");
  EXPECT_EQ(response.responses(1).response_range().header().revision(), 3);
  AddPut(&txn, "x", "1");
  EXPECT_EQ(driver_->ReadTxn(txn, 4, &response).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace store
