// SPDX-License-Identifier: Apache-2.0
//
// quota.h: how much the store may hold (--quota-backend-bytes).
//
// The size is a logical one, the same on every member. A write that would go beyond the quota is
// refused and raises the NOSPACE alarm; deletes and compactions go on. When what is left is well
// below the quota, the alarm that this member raised for it is cleared, without a hand.
// Threads: any.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "server/parts.h"

namespace server {

class Quota {
 public:
  // `state` must outlive it.
  Quota(const State* state, uint64_t bytes_max) : state_(state), bytes_max_(bytes_max) {}

  // Whether so many bytes more may be written. If not, the caller raises the alarm.
  bool Admits(size_t bytes) {
    if (Size() + bytes <= bytes_max_) return true;
    alarm_is_ours_.store(true);
    return false;
  }

  // So much below it that the alarm would not come back with the next write.
  bool HasRoomAgain() const { return Size() <= bytes_max_ - bytes_max_ / 10; }
  // Once it is, it stays so: that the alarm is not raised may mean that it is on its way.
  bool alarm_is_ours() const { return alarm_is_ours_.load(); }

  uint64_t bytes_max() const { return bytes_max_; }

 private:
  uint64_t Size() const { return static_cast<uint64_t>(state_->size_bytes()); }

  const State* const state_;
  const uint64_t bytes_max_;
  std::atomic<bool> alarm_is_ours_{false};
};

}  // namespace server
