// SPDX-License-Identifier: Apache-2.0

#include "raft/node/inbox.h"

#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

WaitingPublish PublishOf(std::string command) { return {std::move(command), Seconds(1), nullptr}; }

TEST(Inbox, KeepsTheOrder) {
  Inbox inbox(10, 1000);
  WaitingPublish publish = PublishOf("a");
  WaitingRead read{Seconds(1), nullptr};
  EXPECT_TRUE(inbox.TryPush(&publish));
  inbox.PushReport(Persisted{WriteNumber(1)});
  EXPECT_TRUE(inbox.TryPush(&read));
  const std::vector<InboxItem> items = inbox.TakeNow();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(std::get<WaitingPublish>(items[0]).command, "a");
  EXPECT_TRUE(std::holds_alternative<Persisted>(items[1]));
  EXPECT_TRUE(std::holds_alternative<WaitingRead>(items[2]));
}

TEST(Inbox, RefusesRequestsBeyondTheirNumberAndLeavesThemWhole) {
  Inbox inbox(2, 1000);
  for (int i = 0; i < 2; ++i) {
    WaitingPublish publish = PublishOf("a");
    EXPECT_TRUE(inbox.TryPush(&publish));
  }
  WaitingPublish third = PublishOf("third");
  EXPECT_FALSE(inbox.TryPush(&third));
  EXPECT_EQ(third.command, "third");
  WaitingRead read{Seconds(1), nullptr};
  EXPECT_FALSE(inbox.TryPush(&read));
  EXPECT_EQ(inbox.TakeNow().size(), 2u);
  EXPECT_TRUE(inbox.TryPush(&third));  // there is room again
}

TEST(Inbox, RefusesBytesBeyondTheirSum) {
  Inbox inbox(100, 1000);
  WaitingPublish large = PublishOf(std::string(900, 'x'));
  WaitingPublish more = PublishOf(std::string(101, 'x'));
  WaitingPublish fits = PublishOf(std::string(100, 'x'));
  EXPECT_TRUE(inbox.TryPush(&large));
  EXPECT_FALSE(inbox.TryPush(&more));
  EXPECT_TRUE(inbox.TryPush(&fits));
  inbox.TakeNow();
  EXPECT_TRUE(inbox.TryPush(&more));
}

TEST(Inbox, DropsPeersMessagesBeyondTheLimitByTheirEntries) {
  Inbox inbox(100, 2000);
  const auto append = [](size_t bytes) {
    return Envelope{NodeId(2), NodeId(1), Term(1), Session(1),
                    AppendEntries{{}, {}, {MakeEntry(1, 1, std::string(bytes, 'x'))}}};
  };
  Envelope large = append(1200);
  Envelope second = append(1200);
  EXPECT_TRUE(inbox.TryPush(&large));
  EXPECT_FALSE(inbox.TryPush(&second));
}

TEST(Inbox, TheReportsOfOurOwnThreadsAlwaysFindRoom) {
  Inbox inbox(0, 0);
  for (uint64_t i = 1; i <= 100; ++i) {
    inbox.PushReport(Persisted{WriteNumber(i)});
    inbox.PushReport(Applied{Index(i), {}});
    inbox.PushReport(Fetched{NodeId(2), Index(i), {}});
  }
  EXPECT_EQ(inbox.TakeNow().size(), 300u);
}

}  // namespace
}  // namespace raft
