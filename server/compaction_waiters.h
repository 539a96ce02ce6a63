// SPDX-License-Identifier: Apache-2.0
//
// compaction_waiters.h: calls that wait until this member has dropped what a compaction took away
// (CompactionRequest.physical).
//
// Threads: any.

#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "server/errors.h"

namespace server {

class CompactionWaiters {
 public:
  using Done = std::function<void(const absl::Status&)>;

  // `done` is called once: when all below `revision` is dropped, at `until` (kTimeout), or when the
  // server stops (kStopped). The compaction is in force in any case.
  void Wait(int64_t revision, base::TimePoint until, Done done) {
    {
      std::lock_guard lock(mutex_);
      if (!stopped_) {
        waiting_.push_back({revision, until, std::move(done)});
        return;
      }
    }
    done(ErrorStatus(WireError::kStopped));
  }

  // To be called now and then.
  void Look(int64_t dropped_to, base::TimePoint now) {
    End([&](const Waiter& waiter) { return waiter.revision <= dropped_to; }, absl::OkStatus());
    End([&](const Waiter& waiter) { return waiter.until <= now; },
        ErrorStatus(WireError::kTimeout));
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    End([](const Waiter&) { return true; }, ErrorStatus(WireError::kStopped));
  }

 private:
  struct Waiter {
    int64_t revision = 0;
    base::TimePoint until;
    Done done;
  };

  template <typename Which>
  void End(Which which, const absl::Status& status) {
    std::vector<Done> ended;
    {
      std::lock_guard lock(mutex_);
      std::erase_if(waiting_, [&](Waiter& waiter) {
        if (!which(waiter)) return false;
        ended.push_back(std::move(waiter.done));
        return true;
      });
    }
    for (const Done& done : ended) done(status);
  }

  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<Waiter> waiting_;
  bool stopped_ = false;
};

}  // namespace server
