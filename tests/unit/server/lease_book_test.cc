// SPDX-License-Identifier: Apache-2.0

#include "server/lease_book.h"

#include "gtest/gtest.h"

namespace server {
namespace {

using std::chrono::seconds;

base::TimePoint At(int64_t second) { return base::TimePoint(seconds(1000 + second)); }

store::LeaseChange Granted(int64_t lease, int64_t ttl) { return {lease, true, ttl}; }

int64_t DeadlineOf(const LeaseBook& book, int64_t lease) {
  return std::chrono::duration_cast<seconds>(book.Find(lease)->Deadline() - At(0)).count();
}

TEST(LeaseBookTest, ALeaseLastsFromItsGrantAndFromEachRenewal) {
  LeaseBook book;
  book.Load({}, At(0));
  book.Apply(Granted(7, 10), At(1));
  EXPECT_EQ(DeadlineOf(book, 7), 11);
  EXPECT_TRUE(book.Note(7, At(5)));
  EXPECT_EQ(DeadlineOf(book, 7), 15);
  EXPECT_TRUE(book.Note(7, At(3))) << "a late word moves nothing back";
  EXPECT_EQ(DeadlineOf(book, 7), 15);
  EXPECT_FALSE(book.Note(8, At(5)));
  book.Apply({7, false, 0}, At(6));
  EXPECT_EQ(book.Find(7), nullptr);
}

TEST(LeaseBookTest, WhoBeganLaterAssumesARenewalAtTheBeginningUntilALeaderTells) {
  LeaseBook book;
  book.Load({{7, 10}, {8, 10}}, At(100));
  EXPECT_TRUE(book.forgetful());
  EXPECT_EQ(DeadlineOf(book, 7), 110);
  ASSERT_TRUE(book.Note(8, At(102)));

  LeaseBook leader;
  leader.Load({}, At(0));
  leader.Apply(Granted(7, 10), At(96));
  leader.Apply(Granted(8, 10), At(97));
  book.Adopt(leader.Tell(At(103)), At(104));
  EXPECT_FALSE(book.forgetful());
  EXPECT_EQ(DeadlineOf(book, 7), 107) << "7 s old at 103, told at 104";
  EXPECT_EQ(DeadlineOf(book, 8), 112) << "what it noted itself stays";
}

TEST(LeaseBookTest, ANewLeaderTakesTheLatestRenewalThatAnybodyTells) {
  LeaseBook early;
  early.Load({{7, 10}, {8, 10}}, At(0));
  LeaseBook late = early;
  ASSERT_TRUE(late.Note(7, At(6)));
  const auto early_told = early.Tell(At(9));
  const auto late_told = late.Tell(At(9));

  LeaseBook leader;
  leader.Load({{7, 10}, {8, 10}, {9, 10}}, At(5));
  LeaseBook counted = leader;
  leader.Settle({{&early_told, At(9)}, {&late_told, At(9)}}, /*own_counts=*/false);
  EXPECT_FALSE(leader.forgetful());
  EXPECT_EQ(DeadlineOf(leader, 7), 16);
  EXPECT_EQ(DeadlineOf(leader, 8), 10) << "its own beginning is not counted";
  EXPECT_EQ(DeadlineOf(leader, 9), 15) << "nobody knows it: it is new";
  counted.Settle({{&early_told, At(9)}}, /*own_counts=*/true);
  EXPECT_EQ(DeadlineOf(counted, 7), 15);
}

TEST(LeaseBookTest, WhatIsDueIsTakenOnceInOrderAndRenewedNoMore) {
  LeaseBook book;
  book.Load({{1, 10}, {2, 20}, {3, 30}}, At(0));
  EXPECT_EQ(book.next_due(), base::kForever) << "not watched yet";
  book.WatchDeadlines();
  EXPECT_EQ(book.next_due(), At(10));
  ASSERT_TRUE(book.Note(1, At(9)));
  EXPECT_TRUE(book.TakeDue(At(10), 9).empty()) << "it was renewed";
  EXPECT_EQ(book.next_due(), At(19));
  EXPECT_EQ(book.TakeDue(At(40), 2), (std::vector<int64_t>{1, 2}));
  EXPECT_FALSE(book.Note(1, At(40)));
  EXPECT_TRUE(book.Note(3, At(40)));
  EXPECT_TRUE(book.TakeDue(At(40), 9).empty());
  book.IgnoreDeadlines();
  EXPECT_TRUE(book.Note(1, At(41))) << "another leader decides";
  book.WatchDeadlines();
  EXPECT_EQ(book.TakeDue(At(50), 9), (std::vector<int64_t>{2}));
}

TEST(LeaseBookTest, WhatIsRevokedOrGrantedAnewLeavesNoOldDeadline) {
  LeaseBook book;
  book.Load({}, At(0));
  book.WatchDeadlines();
  for (int i = 0; i < 1000; ++i) {
    book.Apply(Granted(7, 1'000'000), At(i));
    book.Apply({7, false, 0}, At(i));
  }
  EXPECT_EQ(book.next_due(), base::kForever) << "nothing is kept of them";
  book.Apply(Granted(7, 5), At(0));
  book.Apply({7, false, 0}, At(1));
  book.Apply(Granted(7, 50), At(1));
  EXPECT_TRUE(book.TakeDue(At(40), 9).empty());
  EXPECT_EQ(book.TakeDue(At(51), 9), (std::vector<int64_t>{7}));
}

TEST(LeaseBookTest, TheLongestTtlsOverflowNothing) {
  LeaseBook book;
  book.Load({{1, store::kLeaseTtlMax}, {2, int64_t{1} << 31}}, At(0));
  book.WatchDeadlines();
  EXPECT_EQ(book.Find(1)->Deadline(), base::kForever);
  EXPECT_GT(book.Find(2)->Deadline(), At(0));
  EXPECT_TRUE(book.TakeDue(At(1'000'000), 9).empty());
  datum::peer::LeaseTable wild;
  wild.add_leases(2);
  wild.add_ages_us(UINT64_MAX);
  wild.add_leases(1);
  book.Adopt(wild, At(5));
  EXPECT_LT(book.Find(2)->renewed_at(), At(0));
}

}  // namespace
}  // namespace server
