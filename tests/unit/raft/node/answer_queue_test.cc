// SPDX-License-Identifier: Apache-2.0

#include "raft/node/answer_queue.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"

namespace raft {
namespace {

TEST(AnswerQueue, RunsInOrder) {
  AnswerQueue answers;
  std::vector<int> ran;
  EXPECT_FALSE(answers.RunSome());
  for (int i = 0; i < 40; ++i) answers.Push({[&ran, i] { ran.push_back(i); }});
  while (answers.RunSome()) continue;
  ASSERT_EQ(ran.size(), 40u);
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
}

TEST(AnswerQueue, TakesLittleAtATimeSoThatThreadsShare) {
  AnswerQueue answers;
  int ran = 0;
  answers.Push(std::vector<AnswerQueue::Answer>(100, [&ran] { ++ran; }));
  EXPECT_TRUE(answers.RunSome());
  EXPECT_LT(ran, 100);
  EXPECT_GT(ran, 0);
}

TEST(AnswerQueue, RunsWhatWaitsBeforeItEnds) {
  AnswerQueue answers;
  std::atomic<int> ran = 0;
  answers.Push(std::vector<AnswerQueue::Answer>(100, [&ran] { ++ran; }));
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&answers] {
      while (answers.WaitAndRunSome()) continue;
    });
  }
  answers.Close();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace raft
