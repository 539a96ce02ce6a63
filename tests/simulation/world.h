// SPDX-License-Identifier: Apache-2.0
//
// world.h: virtual time: a queue of things to happen, all in one thread, all from one seed.

#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace simulation {

class World {
 public:
  using Action = std::function<void()>;

  explicit World(uint64_t seed) : random_(seed) {}

  base::TimePoint now() const { return now_; }
  base::Random* random() { return &random_; }

  // Does `action` at `time`, or now if that is past. What is due at one time happens in the
  // order in which it was asked for.
  void At(base::TimePoint time, Action action) {
    queue_.push({std::max(time, now_), ++sequence_, std::move(action)});
  }
  void After(base::Duration delay, Action action) { At(now_ + delay, std::move(action)); }

  // Uniform in [low, high].
  base::Duration RandomDelay(base::Duration low, base::Duration high) {
    return base::Duration(static_cast<int64_t>(
        random_.Between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
  }

  void RunUntil(base::TimePoint end) {
    while (!queue_.empty() && queue_.top().time <= end) {
      Item item = std::move(const_cast<Item&>(queue_.top()));
      queue_.pop();
      now_ = item.time;
      ++events_;
      item.action();
    }
    now_ = end;
  }

  uint64_t events() const { return events_; }

 private:
  struct Item {
    base::TimePoint time;
    uint64_t sequence;
    Action action;
    bool operator<(const Item& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };

  // Near 2^31 ms, where timers of others have overflowed (NuRaft 92fce2f).
  base::TimePoint now_{std::chrono::milliseconds((1ll << 31) - 20'000)};
  base::Random random_;
  std::priority_queue<Item> queue_;
  uint64_t sequence_ = 0;
  uint64_t events_ = 0;
};

}  // namespace simulation
