// SPDX-License-Identifier: Apache-2.0

#include "server/app_background.h"

#include <utility>

namespace server {

Background::Background(size_t threads, size_t jobs_max) : jobs_max_(jobs_max) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Background::~Background() { Stop(); }

bool Background::Post(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (stopping_ || jobs_.size() >= jobs_max_) return false;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void Background::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Background::Run() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace server
