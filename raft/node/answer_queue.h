// SPDX-License-Identifier: Apache-2.0
//
// answer_queue.h: work that must not hold up the raft, log and apply threads: the answers to
// callers, which go on to read and to write to connections, and reads of old log entries.
//
// Threads: any may push; each answer thread takes.

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace raft {

class AnswerQueue {
 public:
  using Answer = std::function<void()>;

  // A thread takes up to `batch` answers at a time: few enough that several threads share what
  // came at once, and one where each may take long.
  explicit AnswerQueue(size_t batch = 16) : batch_(batch) {}

  size_t size() const {
    std::lock_guard lock(mutex_);
    return answers_.size();
  }

  // False if the queue is closed; nothing is taken then.
  bool Push(std::vector<Answer> answers) {
    if (answers.empty()) return true;
    const bool many = answers.size() > 1;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      for (Answer& answer : answers) answers_.push_back(std::move(answer));
    }
    if (many) {
      filled_.notify_all();
    } else {
      filled_.notify_one();
    }
    return true;
  }

  // Runs what waits, up to a small batch. False if nothing waited.
  bool RunSome() { return Run(TakeSome(false)); }

  // Waits for work and runs it. False when closed and nothing is left.
  bool WaitAndRunSome() { return Run(TakeSome(true)); }

  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    filled_.notify_all();
  }

 private:
  std::vector<Answer> TakeSome(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) filled_.wait(lock, [this] { return closed_ || !answers_.empty(); });
    std::vector<Answer> taken;
    while (!answers_.empty() && taken.size() < batch_) {
      taken.push_back(std::move(answers_.front()));
      answers_.pop_front();
    }
    return taken;
  }

  static bool Run(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) answer();
    return !answers.empty();
  }

  const size_t batch_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Answer> answers_;
  bool closed_ = false;
};

}  // namespace raft
