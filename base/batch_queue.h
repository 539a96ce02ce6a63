// SPDX-License-Identifier: Apache-2.0
//
// batch_queue.h: a queue between two threads from which everything that waits is taken at once.
//
// One lock and at most one wake-up a batch. What may wait in it is bounded by whoever fills it.
// Threads: any number may push; one takes.

#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "base/time.h"

namespace base {

template <typename T>
class BatchQueue {
 public:
  void Push(T item) { TryPush(&item); }

  // False, and *item as it was, once the queue is closed: nobody would take it.
  bool TryPush(T* item) {
    bool wake;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      wake = items_.empty();
      items_.push_back(std::move(*item));
    }
    if (wake) filled_.notify_one();
    return true;
  }

  // All that waits, in order; empty if nothing does.
  std::vector<T> TakeNow() {
    std::vector<T> taken;
    std::lock_guard lock(mutex_);
    taken.swap(items_);
    return taken;
  }

  // Returns when something waits, the queue is closed or `until` (a SystemClock time) is past.
  void Wait(TimePoint until = kForever) {
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return closed_ || !items_.empty(); };
    if (until == kForever) {
      filled_.wait(lock, ready);
    } else {
      filled_.wait_until(lock, std::chrono::steady_clock::time_point(until.time_since_epoch()),
                         ready);
    }
  }

  // Wakes the taker for good. What waits can still be taken.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    filled_.notify_all();
  }

  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<T> items_;
  bool closed_ = false;
};

}  // namespace base
