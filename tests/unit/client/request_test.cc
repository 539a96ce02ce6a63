// SPDX-License-Identifier: Apache-2.0

#include "client/request.h"

#include <string>

#include "gtest/gtest.h"

namespace client {
namespace {

TEST(Request, PrefixEndIsTheFirstKeyBeyond) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), std::string(1, '\0'));
  EXPECT_EQ(PrefixEnd(""), std::string(1, '\0'));
}

TEST(Request, AnEmptyPrefixIsEveryKey) {
  const etcdserverpb::RangeRequest request = PrefixOf("");
  EXPECT_EQ(request.key(), std::string(1, '\0'));
  EXPECT_EQ(request.range_end(), std::string(1, '\0'));
}

TEST(Request, ATransactionIsWhatItSays) {
  Transaction inner;
  inner.Then(DeleteOf("d"));
  Transaction transaction;
  transaction.If(ModRevision("a").Is("=", 3), ValueOf("b").Is("!=", "x"))
      .Then(PutOf("c", "1"), inner.request())
      .Else(RangeOf("a"));
  const etcdserverpb::TxnRequest& request = transaction.request();
  ASSERT_EQ(request.compare_size(), 2);
  EXPECT_EQ(request.compare(0).mod_revision(), 3);
  EXPECT_EQ(request.compare(1).result(), etcdserverpb::Compare::NOT_EQUAL);
  EXPECT_EQ(request.compare(1).value(), "x");
  ASSERT_EQ(request.success_size(), 2);
  EXPECT_EQ(request.success(0).request_put().key(), "c");
  EXPECT_EQ(request.success(1).request_txn().success(0).request_delete_range().key(), "d");
  EXPECT_EQ(request.failure(0).request_range().key(), "a");
}

TEST(Request, EveryTargetSetsItsOwnField) {
  EXPECT_EQ(Timestamp("a").Is(">", 1).version(), 1);
  EXPECT_EQ(CreateRevision("a").Is("<", 2).create_revision(), 2);
  EXPECT_EQ(LeaseOf("a").Is("=", 4).lease(), 4);
}

TEST(Request, ATxnIsReadOnlyIfNoBranchWritesHoweverDeep) {
  Transaction reads;
  reads.Then(RangeOf("a")).Else(RangeOf("b"));
  EXPECT_TRUE(IsReadOnly(reads.request()));
  Transaction deep_read;
  deep_read.Then(reads.request());
  EXPECT_TRUE(IsReadOnly(deep_read.request()));
  Transaction writes;
  writes.Else(DeleteOf("a"));
  EXPECT_FALSE(IsReadOnly(writes.request()));
  Transaction deep_write;
  deep_write.Then(writes.request());
  EXPECT_FALSE(IsReadOnly(deep_write.request()));
}

TEST(RequestDeathTest, AnUnknownRelationIsABug) {
  EXPECT_DEATH(static_cast<void>(Timestamp("a").Is("==", 1)), "Check failed");
}

}  // namespace
}  // namespace client
