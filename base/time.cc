// SPDX-License-Identifier: Apache-2.0

#include "base/time.h"

namespace base {

TimePoint SystemClock::Now() const {
  return TimePoint(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

}  // namespace base
