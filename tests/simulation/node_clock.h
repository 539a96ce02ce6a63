// SPDX-License-Identifier: Apache-2.0
//
// node_clock.h: a member's own clock: it runs a little fast or slow, and may stand still.

#pragma once

#include "base/time.h"
#include "tests/simulation/world.h"

namespace simulation {

class NodeClock {
 public:
  // `drift`: 0.1 gains six minutes an hour.
  NodeClock(const World* world, double drift)
      : world_(world), rate_(1 + drift), since_(world->now()), shown_(world->now()) {}

  base::TimePoint Now() const { return shown_ + Scaled(world_->now() - since_, rate_); }

  // The world's time at which this clock shows `time`, if it goes on as it does now.
  base::TimePoint WorldTimeOf(base::TimePoint time) const {
    if (time == base::kForever || rate_ == 0) return base::kForever;
    // One more nanosecond, so that rounding never wakes a member before its time.
    return world_->now() + Scaled(time - Now(), 1 / rate_) + base::Duration(1);
  }

  // Stands still until `rate` is set again.
  void SetDrift(double drift) { SetRate(1 + drift); }
  void Freeze() { SetRate(0); }

 private:
  static base::Duration Scaled(base::Duration duration, double factor) {
    return base::Duration(static_cast<int64_t>(static_cast<double>(duration.count()) * factor));
  }
  void SetRate(double rate) {
    shown_ = Now();
    since_ = world_->now();
    rate_ = rate;
  }

  const World* const world_;
  double rate_;
  base::TimePoint since_;
  base::TimePoint shown_;
};

}  // namespace simulation
