// SPDX-License-Identifier: Apache-2.0
//
// answer_memory.h: one bound for the memory of all answers together, but for small ones
// (--answer-memory-bytes), from where they are read to where they have left.
//
// An answer that would be more than small while others fill the memory waits until some of them
// have left, and is refused if that takes too long: clients that do not read cannot fill a member.
// As many answers as there are threads that read may go beyond the bound, each by what it still
// grows after it was let in, and so may writes that are under way (what is applied is answered) and
// keys of leases on their way from the leader.
// Threads: any.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/time.h"

namespace server {

class AnswerMemory {
 public:
  // True: there may be room, try again. False: there was none in time.
  using Retry = std::function<void(bool room)>;

  AnswerMemory(uint64_t bytes_max, size_t waiting_max)
      : bytes_max_(bytes_max), waiting_max_(waiting_max) {}

  // What one answer takes; gives it back when destroyed. Must not outlive the AnswerMemory.
  class Claim {
   public:
    explicit Claim(AnswerMemory* memory) : memory_(memory) {}
    ~Claim() { memory_->GiveBack(bytes_); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    // To so many bytes. False if it has none yet and the memory is full.
    bool Grow(uint64_t bytes);
    // Gives back all beyond so many bytes.
    void Shrink(uint64_t bytes);

   private:
    AnswerMemory* const memory_;
    uint64_t bytes_ = 0;
  };

  std::shared_ptr<Claim> NewClaim() { return std::make_shared<Claim>(this); }

  // `retry` is called once: from whoever gives back, from Look, or at once if too many wait.
  void Wait(base::TimePoint until, Retry retry);
  // Ends those whose time is over. To be called some times a second.
  void Look(base::TimePoint now);

  uint64_t bytes() const;

 private:
  struct Waiter {
    base::TimePoint until;
    Retry retry;
  };

  void GiveBack(uint64_t bytes);
  // Those who may try again, taken out. Requires: mutex_ is held.
  std::vector<Retry> TakeSome();

  const uint64_t bytes_max_;
  const size_t waiting_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  uint64_t bytes_ = 0;
  std::deque<Waiter> waiting_;
};

}  // namespace server
