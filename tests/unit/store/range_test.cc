// SPDX-License-Identifier: Apache-2.0
//
// Range's options, each as etcd 3.7.1 was seen to answer (reference: etcd-api 1.3, 1.11).

#include "store/range.h"

#include <string>

#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::RangeRequest;

const std::string kZero(1, '\0');

class RangeTest : public ::testing::Test {
 protected:
  // a..e; create order c a b e d; values 3 1 2 1 9 in key order; b and d changed once more.
  void SetUp() override {
    ASSERT_TRUE(driver_.Put("c", "2").ok());  // 2
    ASSERT_TRUE(driver_.Put("a", "3").ok());  // 3
    ASSERT_TRUE(driver_.Put("b", "0").ok());  // 4
    ASSERT_TRUE(driver_.Put("e", "9").ok());  // 5
    ASSERT_TRUE(driver_.Put("d", "0").ok());  // 6
    ASSERT_TRUE(driver_.Put("d", "1").ok());  // 7
    ASSERT_TRUE(driver_.Put("b", "1").ok());  // 8
  }

  RangeRequest All() const {
    RangeRequest request;
    request.set_key(kZero);
    request.set_range_end(kZero);
    return request;
  }

  std::string Sorted(RangeRequest::SortTarget target, RangeRequest::SortOrder order,
                     int64_t limit = 0) {
    RangeRequest request = All();
    request.set_sort_target(target);
    request.set_sort_order(order);
    request.set_limit(limit);
    return KeysIn(driver_.Range(request));
  }

  MachineDriver driver_;
};

TEST_F(RangeTest, HeaderShowsWhoAndWhere) {
  const auto response = driver_.Range(All());
  EXPECT_EQ(response.header().cluster_id(), 11u);
  EXPECT_EQ(response.header().member_id(), 22u);
  EXPECT_EQ(response.header().raft_term(), MachineDriver::kTerm);
  EXPECT_EQ(response.header().revision(), 8);
}

TEST_F(RangeTest, RangesOfKeys) {
  RangeRequest request;
  request.set_key("b");
  EXPECT_EQ(KeysIn(driver_.Range(request)), "b");
  request.set_range_end("d");
  EXPECT_EQ(KeysIn(driver_.Range(request)), "bc");
  request.set_range_end(kZero);
  EXPECT_EQ(KeysIn(driver_.Range(request)), "bcde");
  request.set_range_end("a");
  EXPECT_EQ(driver_.Range(request).count(), 0);
}

TEST_F(RangeTest, LimitCutsAndCountDoesNot) {
  RangeRequest request = All();
  request.set_limit(2);
  const auto cut = driver_.Range(request);
  EXPECT_EQ(KeysIn(cut), "ab");
  EXPECT_TRUE(cut.more());
  EXPECT_EQ(cut.count(), 5);
  request.set_limit(5);
  EXPECT_FALSE(driver_.Range(request).more());
  request.set_limit(-1);
  EXPECT_EQ(driver_.Range(request).kvs_size(), 5);
}

TEST_F(RangeTest, CountOnly) {
  RangeRequest request = All();
  request.set_count_only(true);
  request.set_limit(1);
  const auto response = driver_.Range(request);
  EXPECT_EQ(response.count(), 5);
  EXPECT_EQ(response.kvs_size(), 0);
  EXPECT_FALSE(response.more());
  request.set_revision(4);
  EXPECT_EQ(driver_.Range(request).count(), 3);
}

TEST_F(RangeTest, Sorts) {
  EXPECT_EQ(Sorted(RangeRequest::KEY, RangeRequest::DESCEND), "edcba");
  EXPECT_EQ(Sorted(RangeRequest::CREATE, RangeRequest::ASCEND), "cabed");
  EXPECT_EQ(Sorted(RangeRequest::MOD, RangeRequest::DESCEND), "bdeac");
  EXPECT_EQ(Sorted(RangeRequest::MOD, RangeRequest::DESCEND, 2), "bd");
  EXPECT_EQ(Sorted(RangeRequest::KEY, RangeRequest::DESCEND, 1), "e");
}

TEST_F(RangeTest, TiesStayInKeyOrder) {
  EXPECT_EQ(Sorted(RangeRequest::VALUE, RangeRequest::ASCEND), "bdcae");
  EXPECT_EQ(Sorted(RangeRequest::VALUE, RangeRequest::DESCEND), "eacbd");
  EXPECT_EQ(Sorted(RangeRequest::VERSION, RangeRequest::DESCEND), "bdace");
}

TEST_F(RangeTest, ATargetWithoutAnOrderSortsWhatTheLimitLetIn) {
  // a, b, c are read, sorted ascending by revision (c 2, a 3, b 8), then cut.
  EXPECT_EQ(Sorted(RangeRequest::MOD, RangeRequest::NONE, 2), "ca");
  EXPECT_EQ(Sorted(RangeRequest::MOD, RangeRequest::NONE), "caedb");
}

TEST_F(RangeTest, RevisionFiltersCutAfterCounting) {
  RangeRequest request = All();
  request.set_min_mod_revision(5);
  auto response = driver_.Range(request);
  EXPECT_EQ(KeysIn(response), "bde");
  EXPECT_EQ(response.count(), 5);
  request.set_limit(2);
  response = driver_.Range(request);
  EXPECT_EQ(KeysIn(response), "bd");
  EXPECT_TRUE(response.more());
  request = All();
  request.set_max_mod_revision(7);
  EXPECT_EQ(KeysIn(driver_.Range(request)), "acde");
  request = All();
  request.set_min_create_revision(3);
  request.set_max_create_revision(5);
  EXPECT_EQ(KeysIn(driver_.Range(request)), "abe");
}

TEST_F(RangeTest, KeysOnlyHasNeitherValueNorLease) {
  etcdserverpb::InternalRaftRequest grant;
  grant.mutable_lease_grant()->set_id(5);
  grant.mutable_lease_grant()->set_ttl(60);
  ASSERT_TRUE(driver_.Apply(grant).status.ok());
  ASSERT_TRUE(driver_.Put("a", "3", 5).ok());
  RangeRequest request;
  request.set_key("a");
  EXPECT_EQ(driver_.Range(request).kvs(0).lease(), 5);
  request.set_keys_only(true);
  EXPECT_EQ(driver_.Range(request).kvs(0).value(), "");
  EXPECT_EQ(driver_.Range(request).kvs(0).lease(), 0);
  EXPECT_EQ(driver_.Range(request).kvs(0).version(), 2);
  request = All();
  request.set_keys_only(true);
  request.set_sort_target(RangeRequest::VALUE);
  const auto by_value = driver_.Range(request);
  EXPECT_EQ(KeysIn(by_value), "bdcae") << "sorted by values that are not shown";
  EXPECT_EQ(by_value.kvs(3).value(), "");
  EXPECT_EQ(by_value.kvs(3).lease(), 5);
}

TEST_F(RangeTest, ThePast) {
  RangeRequest request = All();
  request.set_revision(6);
  const auto response = driver_.Range(request);
  EXPECT_EQ(KeysIn(response), "abcde");
  EXPECT_EQ(response.kvs(1).value(), "0");
  EXPECT_EQ(response.kvs(1).version(), 1);
  EXPECT_EQ(response.header().revision(), 8);
  request.set_revision(1);
  EXPECT_EQ(driver_.Range(request).count(), 0);
  request.set_revision(-7);
  EXPECT_EQ(driver_.Range(request).kvs(1).value(), "1") << "negative is the newest";
}

TEST_F(RangeTest, RevisionsOutOfReach) {
  EXPECT_EQ(ErrorOf(driver_.RangeStatus(9)), Error::kFutureRevision);
  ASSERT_TRUE(driver_.Compact(6).ok());
  EXPECT_EQ(ErrorOf(driver_.RangeStatus(5)), Error::kCompacted);
  EXPECT_TRUE(driver_.RangeStatus(6).ok());
  driver_.FinishCompaction();
  EXPECT_EQ(ErrorOf(driver_.RangeStatus(5)), Error::kCompacted);
  EXPECT_EQ(driver_.Get("b", 6).kvs(0).value(), "0");
}

TEST(CheckReadRevisionTest, ATxnTakesNegativeRevisionsAtTheirWord) {
  EXPECT_TRUE(CheckReadRevision(-5, 10, 3).ok());
  EXPECT_TRUE(CheckTxnReadRevision(0, 10, 3).ok());
  EXPECT_TRUE(CheckTxnReadRevision(-1, 10, kNeverCompacted).ok());
  EXPECT_EQ(ErrorOf(CheckTxnReadRevision(-2, 10, kNeverCompacted)), Error::kCompacted);
  EXPECT_EQ(ErrorOf(CheckTxnReadRevision(-1, 10, 0)), Error::kCompacted);
}

}  // namespace
}  // namespace store
