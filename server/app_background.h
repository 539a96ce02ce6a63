// SPDX-License-Identifier: Apache-2.0
//
// app_background.h: threads for work that takes long and that nobody else may wait for: hashes and
// snapshots of the whole store.
//
// Threads: any.

#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace server {

class Background {
 public:
  // At most `jobs_max` wait.
  Background(size_t threads, size_t jobs_max);
  // Stops first.
  ~Background();

  // False, and the job is not run, if too many wait or after Stop. Every other is run, during Stop
  // too: one that takes long looks for itself whether the server stops.
  bool Post(std::function<void()> job);
  // Returns when all is done.
  void Stop();

 private:
  void Run();

  const size_t jobs_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace server
