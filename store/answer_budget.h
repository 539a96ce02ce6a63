// SPDX-License-Identifier: Apache-2.0
//
// answer_budget.h: how many bytes an answer may still take.
//
// An answer cannot be encoded from 2 GiB on, and its bytes are built in memory, on the apply
// thread for a write. So what goes into it is counted while it is built, and what is past the
// budget is not collected: what is asked for is then of no use and ends as kAnswerTooLarge.
// What a request does never depends on the budget, only what its asker is told.
// Threads: one.

#pragma once

#include <cstdint>

namespace store {

class AnswerBudget {
 public:
  explicit AnswerBudget(uint64_t bytes_max) : bytes_max_(bytes_max), left_(bytes_max) {}

  // Begins the next answer.
  void Reset() {
    left_ = bytes_max_;
    exceeded_ = false;
  }
  void Take(uint64_t bytes) {
    if (bytes > left_) return Exceed();
    left_ -= bytes;
  }

  void Exceed() {
    exceeded_ = true;
    left_ = 0;
  }

  // Stays so until the next answer.
  bool exceeded() const { return exceeded_; }
  uint64_t left() const { return left_; }
  uint64_t bytes_max() const { return bytes_max_; }

 private:
  const uint64_t bytes_max_;
  uint64_t left_;
  bool exceeded_ = false;
};

}  // namespace store
