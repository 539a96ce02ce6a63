// SPDX-License-Identifier: Apache-2.0

#include "server/key_waiters.h"

#include "gtest/gtest.h"

namespace server {
namespace {

void Write(KeyWaiters* waiters, std::string_view key,
           store::Family family = store::Family::kDatum) {
  const store::WriteOperation write{family, true, key, {}};
  waiters->OnCommit({&write, 1});
}

TEST(KeyWaitersTest, WhoWaitsIsCalledOnceWhenItsKeyChanges) {
  KeyWaiters waiters;
  int called = 0;
  const auto count = [&] { ++called; };
  waiters.Wait("a", count);
  waiters.Wait("a", count);
  Write(&waiters, "b");
  Write(&waiters, "a", store::Family::kLease);
  EXPECT_EQ(called, 0);
  Write(&waiters, "a");
  EXPECT_EQ(called, 2);
  Write(&waiters, "a");
  EXPECT_EQ(called, 2);
  EXPECT_EQ(waiters.size(), 0u);
}

TEST(KeyWaitersTest, AKeyThatEndsInASlashStandsForAllBelowIt) {
  KeyWaiters waiters;
  std::string called;
  for (const std::string key : {"a/", "a/b/", "b/"}) {
    waiters.Wait(key, [&called, key] { called += key + " "; });
  }
  Write(&waiters, "a");
  EXPECT_EQ(called, "");
  Write(&waiters, "a/b/c");
  EXPECT_EQ(called, "a/ a/b/ ");
}

TEST(KeyWaitersTest, ACancelledWaitIsNotCalledAndOneThatWasCalledCannotBeCancelled) {
  KeyWaiters waiters;
  int called = 0;
  const KeyWaiters::Ticket first = waiters.Wait("a", [&] { ++called; });
  const KeyWaiters::Ticket second = waiters.Wait("a", [&] { ++called; });
  EXPECT_TRUE(waiters.Cancel("a", first));
  EXPECT_FALSE(waiters.Cancel("a", first));
  Write(&waiters, "a");
  EXPECT_EQ(called, 1);
  EXPECT_FALSE(waiters.Cancel("a", second));
  waiters.Wait("z", [&] { ++called; });
  waiters.WakeAll();
  EXPECT_EQ(called, 2);
  EXPECT_EQ(waiters.size(), 0u);
}

TEST(KeyWaitersTest, WhoIsCalledMayWaitAgain) {
  KeyWaiters waiters;
  int called = 0;
  std::function<void()> again = [&] {
    if (++called < 3) waiters.Wait("a", again);
  };
  waiters.Wait("a", again);
  for (int i = 0; i < 5; ++i) Write(&waiters, "a");
  EXPECT_EQ(called, 3);
}

}  // namespace
}  // namespace server
