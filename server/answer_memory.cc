// SPDX-License-Identifier: Apache-2.0

#include "server/answer_memory.h"

#include <algorithm>
#include <utility>

namespace server {
namespace {

// As many as can be read at a time: more would only find the memory full again.
constexpr size_t kRetriesAtOnce = 2;

}  // namespace

bool AnswerMemory::Claim::Grow(uint64_t bytes) {
  std::lock_guard lock(memory_->mutex_);
  if (bytes_ == 0 && memory_->bytes_ >= memory_->bytes_max_) return false;
  if (bytes <= bytes_) return true;
  memory_->bytes_ += bytes - bytes_;
  bytes_ = bytes;
  return true;
}

void AnswerMemory::Claim::Shrink(uint64_t bytes) {
  if (bytes < bytes_) memory_->GiveBack(bytes_ - bytes);
  bytes_ = std::min(bytes_, bytes);
}

void AnswerMemory::GiveBack(uint64_t bytes) {
  if (bytes == 0) return;
  std::vector<Retry> retries;
  {
    std::lock_guard lock(mutex_);
    bytes_ -= bytes;
    retries = TakeSome();
  }
  for (const Retry& retry : retries) retry(true);
}

std::vector<AnswerMemory::Retry> AnswerMemory::TakeSome() {
  std::vector<Retry> retries;
  while (bytes_ < bytes_max_ && !waiting_.empty() && retries.size() < kRetriesAtOnce) {
    retries.push_back(std::move(waiting_.front().retry));
    waiting_.pop_front();
  }
  return retries;
}

void AnswerMemory::Wait(base::TimePoint until, Retry retry) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() < waiting_max_) {
      waiting_.push_back({until, std::move(retry)});
      return;
    }
  }
  retry(false);
}

void AnswerMemory::Look(base::TimePoint now) {
  std::vector<Retry> retries, late;
  {
    std::lock_guard lock(mutex_);
    // One that found room may have needed none, and woken nobody.
    retries = TakeSome();
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      if (now < at->until) {
        ++at;
        continue;
      }
      late.push_back(std::move(at->retry));
      at = waiting_.erase(at);
    }
  }
  for (const Retry& retry : retries) retry(true);
  for (const Retry& retry : late) retry(false);
}

uint64_t AnswerMemory::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace server
