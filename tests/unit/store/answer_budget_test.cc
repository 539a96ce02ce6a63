// SPDX-License-Identifier: Apache-2.0
//
// Answers that would be too large: refused, and never more than that.

#include "store/answer_budget.h"

#include <string>

#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::InternalRaftRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

constexpr uint64_t kBytesMax = 10'000;
constexpr int kKeys = 30;
const std::string kZero(1, '\0');

TEST(AnswerBudgetTest, ExceededOnceExceededUntilReset) {
  AnswerBudget budget(10);
  budget.Take(10);
  EXPECT_FALSE(budget.exceeded());
  budget.Take(1);
  EXPECT_TRUE(budget.exceeded());
  EXPECT_EQ(budget.left(), 0u);
  budget.Reset();
  EXPECT_FALSE(budget.exceeded());
  EXPECT_EQ(budget.left(), 10u);
}

class LargeAnswerTest : public ::testing::Test {
 protected:
  // 3 to 4 KB in one Range: three of them are too much.
  void SetUp() override {
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = "key" + std::to_string(10 + i);
      ASSERT_TRUE(small_.Put(key, std::string(100, 'v')).ok());
      ASSERT_TRUE(large_.Put(key, std::string(100, 'v')).ok());
    }
  }

  static RangeRequest All() {
    RangeRequest range;
    range.set_key(kZero);
    range.set_range_end(kZero);
    return range;
  }

  static TxnRequest Ranges(int count) {
    TxnRequest txn;
    for (int i = 0; i < count; ++i) *txn.add_success()->mutable_request_range() = All();
    return txn;
  }

  static InternalRaftRequest Command(const TxnRequest& txn) {
    InternalRaftRequest request;
    *request.mutable_txn() = txn;
    return request;
  }

  void ExpectAppliedButNotAnswered(const InternalRaftRequest& request) {
    const raft::ApplyResult result = small_.Apply(request);
    EXPECT_EQ(result.status, AppliedAnswerTooLarge(kBytesMax));
    EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(result.response.empty());
    EXPECT_TRUE(large_.Apply(request).status.ok());
    EXPECT_EQ(small_->revision(), large_->revision());
    EXPECT_EQ(small_->state_hash(), large_->state_hash());
  }

  MachineDriver small_{kBytesMax};
  MachineDriver large_;
};

TEST_F(LargeAnswerTest, AWriteTxnIsAppliedWhateverBecomesOfItsAnswer) {
  TxnRequest txn = Ranges(4);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key("key10");
  put->set_value("after");
  put->set_prev_kv(true);
  *txn.add_success()->mutable_request_txn() = Ranges(1);
  ExpectAppliedButNotAnswered(Command(txn));
  EXPECT_EQ(small_.Get("key10").kvs(0).value(), "after");
  EXPECT_TRUE(small_.Apply(Command(Ranges(2))).status.ok()) << "the next answer has its own budget";
}

TEST_F(LargeAnswerTest, PriorDatumsCountToo) {
  TxnRequest txn = Ranges(2);
  for (int i = 0; i < kKeys; ++i) {
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key("key" + std::to_string(10 + i));
    put->set_prev_kv(true);
  }
  ExpectAppliedButNotAnswered(Command(txn));
  InternalRaftRequest request;
  request.mutable_delete_range()->set_key(kZero);
  request.mutable_delete_range()->set_range_end(kZero);
  request.mutable_delete_range()->set_prev_kv(true);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(small_.Put("more" + std::to_string(i), std::string(100, 'v')).ok());
    ASSERT_TRUE(large_.Put("more" + std::to_string(i), std::string(100, 'v')).ok());
  }
  ExpectAppliedButNotAnswered(request);
  EXPECT_EQ(small_.Range(All()).count(), 0);
}

TEST_F(LargeAnswerTest, AReadIsRefusedAndOneThatFitsIsNot) {
  etcdserverpb::TxnResponse answer;
  EXPECT_TRUE(small_->ReadTxn(Ranges(2), 4, &answer).ok());
  answer.Clear();
  EXPECT_EQ(small_->ReadTxn(Ranges(3), 4, &answer), ReadAnswerTooLarge(kBytesMax));
  EXPECT_LE(answer.ByteSizeLong(), kBytesMax + 200) << "reading stopped";
  ASSERT_TRUE(small_.Put("large", std::string(kBytesMax, 'v')).ok());
  etcdserverpb::RangeResponse range;
  EXPECT_EQ(small_->Range(All(), 4, &range), ReadAnswerTooLarge(kBytesMax));
  RangeRequest keys = All();
  keys.set_keys_only(true);
  EXPECT_EQ(small_.Range(keys).kvs_size(), kKeys + 1);
}

// What a limit cuts off counts for nothing, though a sort must see it all.
TEST_F(LargeAnswerTest, ASortThatIsCutNeedsNoMoreThanItsBest) {
  for (int i = 0; i < 200; ++i) {
    const std::string key = std::to_string(i * 7919 % 1000);
    ASSERT_TRUE(small_.Put(key, key + std::string(100, 'v')).ok());
    ASSERT_TRUE(large_.Put(key, key + std::string(100, 'v')).ok());
  }
  for (int target = 0; target < 5; ++target) {
    for (int order = 0; order < 3; ++order) {
      for (const bool filtered : {false, true}) {
        RangeRequest range = All();
        range.set_limit(7);
        range.set_sort_target(static_cast<RangeRequest::SortTarget>(target));
        range.set_sort_order(static_cast<RangeRequest::SortOrder>(order));
        if (filtered) range.set_min_mod_revision(5);
        const auto response = small_.Range(range);
        EXPECT_EQ(response.SerializeAsString(), large_.Range(range).SerializeAsString())
            << range.ShortDebugString();
        EXPECT_EQ(response.kvs_size(), 7);
        EXPECT_TRUE(response.more());
      }
    }
  }
}

}  // namespace
}  // namespace store
