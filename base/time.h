// SPDX-License-Identifier: Apache-2.0
//
// time.h: monotonic time as a value.
//
// Everything that decides by time takes a TimePoint as an argument; only the edges of the
// program hold a Clock. In simulation the same code runs under virtual time.

#pragma once

#include <chrono>

namespace base {

using Duration = std::chrono::nanoseconds;

// The time line of this program: monotonic, no relation to the calendar.
struct MonotonicTime {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicTime>;
  static constexpr bool is_steady = true;
};
using TimePoint = MonotonicTime::time_point;

// Later than every time that is ever reached.
inline constexpr TimePoint kForever = TimePoint::max();

// Where time comes from. Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

// CLOCK_MONOTONIC of this machine.
class SystemClock final : public Clock {
 public:
  TimePoint Now() const override;
};

}  // namespace base
