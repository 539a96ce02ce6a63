// SPDX-License-Identifier: Apache-2.0

#include "base/batch_queue.h"

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace base {
namespace {

TEST(BatchQueue, GivesAllThatWaitsInOrder) {
  BatchQueue<int> queue;
  EXPECT_TRUE(queue.TakeNow().empty());
  for (int i = 0; i < 3; ++i) queue.Push(i);
  EXPECT_EQ(queue.TakeNow(), (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(queue.TakeNow().empty());
}

TEST(BatchQueue, TakesWhatCanOnlyBeMoved) {
  BatchQueue<std::unique_ptr<int>> queue;
  queue.Push(std::make_unique<int>(7));
  EXPECT_EQ(*queue.TakeNow().front(), 7);
}

TEST(BatchQueue, DoesNotWaitForWhatIsThereOrPast) {
  BatchQueue<int> queue;
  queue.Wait(TimePoint{});  // long past
  queue.Push(1);
  queue.Wait();
  EXPECT_EQ(queue.TakeNow().size(), 1u);
}

TEST(BatchQueue, ClosingWakesTheTakerAndKeepsWhatWaits) {
  BatchQueue<int> queue;
  std::thread taker([&queue] { queue.Wait(); });
  queue.Push(1);
  queue.Close();
  taker.join();
  EXPECT_TRUE(queue.closed());
  queue.Wait();
  EXPECT_EQ(queue.TakeNow(), std::vector<int>{1});
}

TEST(BatchQueue, TakesNothingOnceItIsClosed) {
  BatchQueue<int> queue;
  queue.Close();
  int item = 7;
  EXPECT_FALSE(queue.TryPush(&item));
  EXPECT_EQ(item, 7);
  EXPECT_TRUE(queue.TakeNow().empty());
}

TEST(BatchQueue, LosesNothingBetweenThreads) {
  constexpr int kPushers = 4;
  constexpr int kEach = 5000;
  BatchQueue<std::pair<int, int>> queue;
  std::vector<std::thread> pushers;
  for (int pusher = 0; pusher < kPushers; ++pusher) {
    pushers.emplace_back([&queue, pusher] {
      for (int i = 0; i < kEach; ++i) queue.Push({pusher, i});
    });
  }
  std::vector<int> next(kPushers, 0);
  for (int taken = 0; taken < kPushers * kEach;) {
    queue.Wait();
    for (const auto& [pusher, number] : queue.TakeNow()) {
      EXPECT_EQ(number, next[static_cast<size_t>(pusher)]++);
      ++taken;
    }
  }
  for (std::thread& pusher : pushers) pusher.join();
}

}  // namespace
}  // namespace base
