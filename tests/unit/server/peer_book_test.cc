// SPDX-License-Identifier: Apache-2.0

#include "server/peer_book.h"

#include "gtest/gtest.h"
#include "server/membership.h"

namespace server {
namespace {

Member MemberOf(uint64_t id) {
  Member member;
  member.id = id;
  member.name = "n" + std::to_string(id);
  member.peer_urls = {"http://h:" + std::to_string(id)};
  return member;
}

Membership Of(uint64_t index, std::vector<uint64_t> ids) {
  Membership membership;
  for (uint64_t id : ids) membership.members[id] = MemberOf(id);
  membership.index = raft::Index(index);
  return membership;
}

raft::EntryRef EntryOf(uint64_t index, const PlannedChange& planned) {
  auto entry = std::make_shared<raft::Entry>();
  entry->index = raft::Index(index);
  entry->kind = raft::EntryKind::kConfiguration;
  entry->command = planned.command;
  return entry;
}

std::vector<uint64_t> IdsIn(const PeerBook& book) {
  std::vector<uint64_t> ids;
  for (const auto& [id, place] : book.Peers()) ids.push_back(id);
  return ids;
}

using Ids = std::vector<uint64_t>;

TEST(PeerBookTest, TheFlagsCountUntilTheMembershipSaysOtherwise) {
  PeerBook book(1, {{1, {"a", {"http://h:1"}}}, {2, {"b", {"http://h:22"}}}});
  EXPECT_EQ(IdsIn(book), Ids{2});
  book.SetApplied(Membership{});
  EXPECT_EQ(IdsIn(book), Ids{2});
  book.SetApplied(Of(1, {1, 2, 3}));
  EXPECT_EQ(IdsIn(book), (Ids{2, 3}));
  EXPECT_EQ(book.Peers()[2].peer_urls, std::vector<std::string>{"http://h:2"});
  Membership after = Of(2, {1, 3});
  after.removed = {2};
  book.SetApplied(after);
  EXPECT_EQ(IdsIn(book), Ids{3});
}

// Else the leader hears no answer, and what would tell of it in the log never comes (a wiped member
// hung for ever in `tools/dev fault`).
TEST(PeerBookTest, WhoJoinsGoesOnAnsweringALeaderThatOldMembershipsDoNotKnow) {
  PeerBook book(1, {{8, {"leader", {"http://h:8"}}}});
  EXPECT_FALSE(book.Learn(8, {"", {"http://h:8"}}));
  book.SetApplied(Of(1, {2, 3}));
  EXPECT_EQ(IdsIn(book), (Ids{2, 3, 8}));
  Membership later = Of(5, {3, 4});
  later.removed = {2};
  book.SetApplied(later);
  EXPECT_EQ(IdsIn(book), (Ids{3, 4, 8}));
  book.SetApplied(Of(9, {1, 3, 8}));
  later.removed = {8};
  book.SetApplied(later);
  EXPECT_EQ(IdsIn(book), (Ids{3, 4}));
}

TEST(PeerBookTest, AMemberIsReachedWhenItsEntryIsAppendedAndNotOnceItIsCut) {
  PeerBook book(1, {});
  const Membership now = Of(1, {1, 2});
  book.SetApplied(now);
  const raft::EntryRef add = EntryOf(5, *PlanAdd(now, MemberOf(3)));
  EXPECT_TRUE(book.Append({&add, 1}));
  EXPECT_EQ(IdsIn(book), (Ids{2, 3}));
  auto other = std::make_shared<raft::Entry>();
  other->index = raft::Index(5);
  const raft::EntryRef overwrites = other;
  EXPECT_FALSE(book.Append({&overwrites, 1}));
  EXPECT_EQ(IdsIn(book), Ids{2});
}

TEST(PeerBookTest, WhoIsRemovedIsReachedUntilThatIsApplied) {
  PeerBook book(1, {});
  const Membership now = Of(1, {1, 2, 3});
  book.SetApplied(now);
  const raft::EntryRef remove = EntryOf(5, *PlanRemove(now, 3));
  book.Append({&remove, 1});
  EXPECT_EQ(IdsIn(book), (Ids{2, 3}));
  Membership after = Of(5, {1, 2});
  after.removed = {3};
  book.SetApplied(after);
  EXPECT_EQ(IdsIn(book), Ids{2});
  EXPECT_FALSE(book.Learn(3, {"", {"http://h:3"}}));
}

TEST(PeerBookTest, AStrangerIsReachedWhereItSays) {
  PeerBook book(1, {});
  EXPECT_TRUE(book.Learn(4, {"", {"http://h:4"}}));
  EXPECT_FALSE(book.Learn(4, {"", {"http://h:4"}})) << "no news";
  EXPECT_EQ(IdsIn(book), Ids{4});
  book.SetApplied(Of(9, {1, 4}));
  EXPECT_FALSE(book.Learn(4, {"", {"http://h:9"}})) << "the log knows better";
  EXPECT_EQ(book.Peers().at(4).peer_urls[0], "http://h:4");
}

TEST(PeerBookTest, StrangersAreFewHoweverManyNamesTheyGiveThemselves) {
  PeerBook book(1, {});
  for (uint64_t id = 100; id < 10'000; ++id) book.Learn(id, {"", {"http://h:1"}});
  EXPECT_EQ(IdsIn(book).size(), 64u);
  EXPECT_TRUE(book.Learn(100, {"", {"http://h:2"}})) << "one of them may move";
}

TEST(PeerBookTest, NewUrlsCountFromTheirEntryOn) {
  PeerBook book(1, {});
  const Membership now = Of(1, {1, 2});
  book.SetApplied(now);
  const raft::EntryRef update = EntryOf(5, *PlanUpdate(now, 2, {"http://h:22"}));
  EXPECT_TRUE(book.Append({&update, 1}));
  EXPECT_EQ(book.Peers().at(2), (PeerPlace{"n2", {"http://h:22"}}));
}

}  // namespace
}  // namespace server
