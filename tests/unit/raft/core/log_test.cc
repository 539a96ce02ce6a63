// SPDX-License-Identifier: Apache-2.0

#include "raft/core/log.h"

#include <algorithm>
#include <string>

#include "base/random.h"
#include "gtest/gtest.h"

namespace raft {
namespace {

EntryRef MakeEntry(uint64_t term, uint64_t index, size_t bytes = 10) {
  auto entry = std::make_shared<Entry>();
  entry->term = Term(term);
  entry->index = Index(index);
  entry->command = std::string(bytes, 'c');
  return entry;
}

LogPosition At(uint64_t term, uint64_t index) { return {Term(term), Index(index)}; }

// The terms of the entries 1, 2, ...
Log LogOf(const std::vector<uint64_t>& terms) {
  Log log;
  for (size_t i = 0; i < terms.size(); ++i) log.Append(MakeEntry(terms[i], i + 1));
  return log;
}

TEST(Log, IsEmptyAtFirst) {
  const Log log;
  EXPECT_EQ(log.last(), At(0, 0));
  EXPECT_EQ(log.TermAt(Index(0)), Term(0));
  EXPECT_EQ(log.TermAt(Index(1)), std::nullopt);
  EXPECT_TRUE(log.Matches(At(0, 0)));
  EXPECT_FALSE(log.InMemory(Index(1)));
}

TEST(Log, KnowsTheTermOfEachEntry) {
  const Log log = LogOf({1, 1, 3, 3, 7});
  EXPECT_EQ(log.last(), At(7, 5));
  EXPECT_EQ(log.TermAt(Index(2)), Term(1));
  EXPECT_EQ(log.TermAt(Index(3)), Term(3));
  EXPECT_EQ(log.TermAt(Index(5)), Term(7));
  EXPECT_EQ(log.TermAt(Index(6)), std::nullopt);
  EXPECT_FALSE(log.Matches(At(2, 3)));
}

TEST(Log, CutsItsTail) {
  Log log = LogOf({1, 1, 3, 3, 7});
  log.TruncateFrom(Index(4));
  EXPECT_EQ(log.last(), At(3, 3));
  log.Append(MakeEntry(8, 4));
  EXPECT_EQ(log.last(), At(8, 4));
  log.TruncateFrom(Index(1));
  EXPECT_EQ(log.last(), At(0, 0));
  EXPECT_EQ(log.bytes_in_memory(), 0u);
}

// LastPossibleMatch by its definition, over random logs.
TEST(Log, LastPossibleMatchIsTheLastPositionNotBehindTheLimit) {
  base::Random random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> terms;
    uint64_t term = 1;
    for (uint64_t i = random.Below(10); i > 0; --i) terms.push_back(term += random.Below(2));
    const Log log = LogOf(terms);
    const LogPosition limit = At(random.Below(8), random.Below(12));
    LogPosition expected = At(0, 0);
    for (uint64_t index = 1; index <= terms.size() && Index(index) <= limit.index; ++index) {
      if (Term(terms[index - 1]) <= limit.term) expected = At(terms[index - 1], index);
    }
    EXPECT_EQ(log.LastPossibleMatch(limit), expected) << "limit " << limit;
  }
}

TEST(Log, ASliceHasAtLeastOneEntryAndKeepsItsLimit) {
  Log log;
  for (uint64_t index = 1; index <= 5; ++index) log.Append(MakeEntry(1, index, 100));
  const size_t each = EntryBytes(*log.At(Index(1)));
  EXPECT_EQ(log.Slice(Index(2), 0).size(), 1u);
  EXPECT_EQ(log.Slice(Index(2), 2 * each).size(), 2u);
  EXPECT_EQ(log.Slice(Index(2), 2 * each).front()->index, Index(2));
  EXPECT_EQ(log.Slice(Index(2), 100 * each).size(), 4u);
}

TEST(Log, LetsOldEntriesGoButKnowsTheirTerms) {
  Log log = LogOf({1, 1, 2, 2, 2});
  const size_t each = EntryBytes(*log.At(Index(1)));
  log.Evict(Index(2), 0);  // what is not applied yet stays, whatever the budget
  EXPECT_FALSE(log.InMemory(Index(2)));
  EXPECT_TRUE(log.InMemory(Index(3)));
  EXPECT_EQ(log.bytes_in_memory(), 3 * each);
  log.Evict(Index(5), 2 * each);
  EXPECT_FALSE(log.InMemory(Index(3)));
  EXPECT_TRUE(log.InMemory(Index(4)));
  EXPECT_EQ(log.TermAt(Index(1)), Term(1));
  EXPECT_EQ(log.last(), At(2, 5));
  // A cut that reaches behind what is in memory.
  log.TruncateFrom(Index(2));
  EXPECT_EQ(log.last(), At(1, 1));
  EXPECT_FALSE(log.InMemory(Index(1)));
}

TEST(Log, BeginsWhereItWasLoaded) {
  const Log log(At(4, 100), {At(4, 101), At(6, 103)}, Index(104),
                {MakeEntry(6, 103), MakeEntry(6, 104)});
  EXPECT_EQ(log.base(), At(4, 100));
  EXPECT_EQ(log.last(), At(6, 104));
  EXPECT_EQ(log.TermAt(Index(99)), std::nullopt);
  EXPECT_EQ(log.TermAt(Index(100)), Term(4));
  EXPECT_EQ(log.TermAt(Index(102)), Term(4));
  EXPECT_FALSE(log.InMemory(Index(102)));
  EXPECT_TRUE(log.InMemory(Index(103)));
  EXPECT_EQ(log.LastPossibleMatch(At(3, 104)), At(4, 100));
}

TEST(Log, ReleasesItsFrontAndKeepsWhatItKnowsOfTheRest) {
  for (uint64_t base = 1; base <= 5; ++base) {
    Log log = LogOf({1, 1, 2, 2, 4});
    const LogPosition place{*log.TermAt(Index(base)), Index(base)};
    const LogPosition last = log.last();
    log.Release(place);
    EXPECT_EQ(log.base(), place);
    EXPECT_EQ(log.last(), last);
    EXPECT_EQ(log.TermAt(Index(base - 1)), std::nullopt);
    EXPECT_TRUE(log.Matches(place));
    const Log whole = LogOf({1, 1, 2, 2, 4});
    for (uint64_t index = base; index <= 5; ++index) {
      EXPECT_EQ(log.TermAt(Index(index)), whole.TermAt(Index(index))) << base << " " << index;
      EXPECT_EQ(log.InMemory(Index(index)), index > base);
    }
    log.Append(MakeEntry(4, 6));
    EXPECT_EQ(log.last(), At(4, 6));
  }
}

TEST(Log, GoesOnBehindASnapshot) {
  Log log = LogOf({1, 1, 2});
  log.Restart(At(7, 100));
  EXPECT_EQ(log.base(), At(7, 100));
  EXPECT_EQ(log.last(), At(7, 100));
  EXPECT_FALSE(log.InMemory(Index(3)));
  log.Append(MakeEntry(7, 101));
  EXPECT_EQ(log.last(), At(7, 101));
  EXPECT_EQ(log.TermAt(Index(100)), Term(7));
}

TEST(LogDeathTest, AHoleEndsTheProcess) {
  Log log = LogOf({1, 1});
  EXPECT_DEATH(log.Append(MakeEntry(1, 4)), "last_index_");
  EXPECT_DEATH(log.Append(MakeEntry(0, 3)), "term");
}

}  // namespace
}  // namespace raft
