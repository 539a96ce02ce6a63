// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/history_checker.h"

#include "gtest/gtest.h"

namespace simulation {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
using testing::Test;

base::TimePoint At(int64_t time) { return base::TimePoint(base::Duration(time)); }

// Operations one after the other; each takes the time from its call to its call + 5.
class HistoryCheckerTest : public Test {
 protected:
  Operation& Add(Kind kind, int64_t call, int64_t revision) {
    Operation operation;
    operation.client = history_.size();
    operation.kind = kind;
    operation.key = "a";
    operation.outcome = Outcome::kOk;
    operation.call = At(call);
    operation.end = At(call + 5);
    operation.revision = operation.shown_revision = revision;
    history_.push_back(operation);
    return history_.back();
  }
  Operation& Put(int64_t call, int64_t revision, const std::string& value) {
    Operation& put = Add(Kind::kPut, call, revision);
    put.value = value;
    put.changed = true;
    return put;
  }
  Operation& UnknownPut(int64_t call, const std::string& value) {
    Operation& put = Add(Kind::kPut, call, 0);
    put.value = value;
    put.outcome = Outcome::kUnknown;
    put.end = base::kForever;
    return put;
  }
  Operation& Delete(int64_t call, int64_t revision) {
    Operation& deletion = Add(Kind::kDelete, call, revision);
    deletion.changed = true;
    return deletion;
  }
  Operation& Get(int64_t call, int64_t revision, std::vector<SeenDatum> seen) {
    Operation& get = Add(Kind::kGet, call, revision);
    get.seen = std::move(seen);
    return get;
  }
  // Which violation is found; empty if none.
  std::string Found() { return CheckHistory(history_); }

  History history_;
};

TEST_F(HistoryCheckerTest, AGoodHistoryPasses) {
  Put(0, 2, "x");
  Get(10, 2, {{"a", "x", 2, 2, 1}});
  Put(20, 3, "y");
  Get(30, 3, {{"a", "y", 2, 3, 2}});
  Delete(40, 4);
  Get(50, 4, {});
  Put(60, 5, "z");
  Get(70, 5, {{"a", "z", 5, 5, 1}});
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, ReadsInThePastShowThePast) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(20, 3, {{"a", "x", 2, 2, 1}}).shown_revision = 2;
  EXPECT_EQ(Found(), "");
  Get(30, 3, {{"a", "y", 2, 3, 2}}).shown_revision = 2;
  EXPECT_NE(Found(), "");
}

TEST_F(HistoryCheckerTest, AStaleReadIsFound) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(20, 2, {{"a", "x", 2, 2, 1}});
  EXPECT_NE(Found().find("older than what was answered"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AStaleSerializableReadIsAllowed) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(20, 2, {{"a", "x", 2, 2, 1}}).serializable = true;
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, ConcurrentReadsMaySeeEither) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(12, 2, {{"a", "x", 2, 2, 1}});
  Get(12, 3, {{"a", "y", 2, 3, 2}});
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, ALostWriteIsFound) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(20, 3, {{"a", "x", 2, 2, 1}});
  EXPECT_NE(Found().find("replaced"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AMissingKeyIsFound) {
  Put(0, 2, "x");
  Get(10, 2, {});
  EXPECT_NE(Found().find("is missing"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AValueOfNobodyIsFound) {
  Put(0, 2, "x");
  Get(10, 2, {{"a", "w", 2, 2, 1}});
  EXPECT_NE(Found().find("nobody wrote"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, TheValueOfAFailedWriteIsFound) {
  Operation& put = Put(0, 0, "x");
  put.outcome = Outcome::kFail;
  put.changed = false;
  Get(10, 2, {{"a", "x", 2, 2, 1}});
  EXPECT_NE(Found(), "");
}

TEST_F(HistoryCheckerTest, AnUnknownWriteMayHaveHappenedOrNot) {
  UnknownPut(0, "x");
  Get(10, 1, {});
  Get(20, 2, {{"a", "x", 2, 2, 1}});
  EXPECT_EQ(Found(), "");
  UnknownPut(30, "never");
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, AnUnknownWriteHappensOnceOnly) {
  UnknownPut(0, "x");
  Put(10, 3, "y");
  Get(20, 2, {{"a", "x", 2, 2, 1}}).serializable = true;
  Get(30, 4, {{"a", "x", 2, 4, 3}});
  EXPECT_NE(Found().find("two revisions"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AnUnknownWriteIsNotSeenBeforeItIsAsked) {
  Get(0, 2, {{"a", "x", 2, 2, 1}});
  UnknownPut(10, "x");
  EXPECT_NE(Found(), "");
}

TEST_F(HistoryCheckerTest, ARevisionThatNobodyMadeIsFound) {
  Put(0, 2, "x");
  Put(10, 4, "y");
  EXPECT_NE(Found().find("no write that anybody asked for"), std::string::npos) << Found();
  UnknownPut(1, "z");
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, TwoWritesAtOneRevisionAreFound) {
  Put(0, 2, "x");
  Put(10, 2, "y");
  EXPECT_NE(Found().find("two writes at one revision"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, WritesInAnotherOrderThanTimeAreFound) {
  Put(0, 3, "x");
  Put(10, 2, "y");
  EXPECT_NE(Found().find("older than what was answered"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AWrongComparisonIsFound) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Operation& txn = Add(Kind::kTxn, 20, 4);
  txn.expected = "x";
  txn.value = "z";
  txn.changed = true;
  EXPECT_NE(Found().find("comparison held"), std::string::npos) << Found();
  txn.expected = "y";
  EXPECT_EQ(Found(), "");
  txn.changed = false;
  txn.revision = txn.shown_revision = 3;
  txn.seen = {{"a", "y", 2, 3, 2}};
  EXPECT_NE(Found().find("comparison failed"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AWrongVersionIsFound) {
  Put(0, 2, "x");
  Put(10, 3, "y");
  Get(20, 3, {{"a", "y", 2, 3, 1}});
  EXPECT_NE(Found().find("a version that counts"), std::string::npos) << Found();
}

TEST_F(HistoryCheckerTest, AnUnknownDeleteExplainsAnAbsence) {
  Put(0, 2, "x");
  Operation& deletion = Delete(10, 0);
  deletion.outcome = Outcome::kUnknown;
  deletion.changed = false;
  Get(20, 3, {});
  EXPECT_EQ(Found(), "");
}

TEST_F(HistoryCheckerTest, ADeletionOfNothingIsFound) {
  Delete(0, 2);
  EXPECT_NE(Found().find("not there"), std::string::npos) << Found();
}

}  // namespace
}  // namespace simulation
