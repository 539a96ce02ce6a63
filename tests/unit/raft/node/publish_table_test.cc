// SPDX-License-Identifier: Apache-2.0

#include "raft/node/publish_table.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

class PublishTableTest : public testing::Test {
 protected:
  void Add(uint64_t id, uint64_t term, int64_t deadline) {
    table_.Add(PublishId(id), Term(term), Seconds(deadline),
               [this, id](const PublishOutcome&) { ended_.push_back(id); });
  }
  // Calls them; the ids, ascending.
  std::vector<uint64_t> End(const std::vector<PublishDone>& dones) {
    ended_.clear();
    for (const PublishDone& done : dones) done({});
    std::sort(ended_.begin(), ended_.end());
    return ended_;
  }

  PublishTable table_;
  std::vector<uint64_t> ended_;
};

using Ids = std::vector<uint64_t>;

TEST_F(PublishTableTest, EachWaiterIsTakenOnce) {
  Add(1, 1, 10);
  EXPECT_TRUE(table_.Contains(PublishId(1)));
  EXPECT_EQ(End({table_.Take(PublishId(1))}), Ids{1});
  EXPECT_FALSE(table_.Contains(PublishId(1)));
  EXPECT_EQ(table_.Take(PublishId(1)), nullptr);
  EXPECT_EQ(table_.Take(PublishId(2)), nullptr);
}

TEST_F(PublishTableTest, ALaterTermDropsTheOlderAlone) {
  Add(1, 1, 10);
  Add(2, 2, 10);
  Add(3, 3, 10);
  EXPECT_EQ(End(table_.TakeOlderThan(Term(1))), Ids{});
  EXPECT_EQ(End(table_.TakeOlderThan(Term(3))), (Ids{1, 2}));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(PublishTableTest, ADeadlineIsPastWhenItIsReached) {
  Add(1, 1, 10);
  Add(2, 1, 11);
  EXPECT_EQ(End(table_.TakeExpired(Seconds(9))), Ids{});
  EXPECT_EQ(End(table_.TakeExpired(Seconds(10))), Ids{1});
  EXPECT_EQ(End(table_.TakeAll()), Ids{2});
  EXPECT_EQ(table_.size(), 0u);
}

}  // namespace
}  // namespace raft
