// SPDX-License-Identifier: Apache-2.0

#include "server/key_waiters.h"

namespace server {

KeyWaiters::Ticket KeyWaiters::Wait(const std::string& key, OnChange on_change) {
  std::lock_guard lock(mutex_);
  const Ticket ticket = ++last_ticket_;
  waiting_[key].emplace(ticket, std::move(on_change));
  ++size_;
  return ticket;
}

bool KeyWaiters::Cancel(const std::string& key, Ticket ticket) {
  std::lock_guard lock(mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end() || found->second.erase(ticket) == 0) return false;
  if (found->second.empty()) waiting_.erase(found);
  --size_;
  return true;
}

void KeyWaiters::Take(std::string_view key, std::vector<OnChange>* woken) {
  const auto found = waiting_.find(absl::string_view(key.data(), key.size()));
  if (found == waiting_.end()) return;
  for (auto& [ticket, on_change] : found->second) woken->push_back(std::move(on_change));
  size_ -= found->second.size();
  waiting_.erase(found);
}

void KeyWaiters::OnCommit(std::span<const store::WriteOperation> batch) {
  // Who begins to wait now looks at the state afterwards, where the batch is already.
  if (size_ == 0) return;
  std::vector<OnChange> woken;
  {
    std::lock_guard lock(mutex_);
    for (const store::WriteOperation& write : batch) {
      if (write.family != store::Family::kDatum) continue;
      Take(write.key, &woken);
      for (size_t i = 0; i < write.key.size(); ++i) {
        if (write.key[i] == '/') Take(write.key.substr(0, i + 1), &woken);
      }
    }
  }
  for (const OnChange& on_change : woken) on_change();
}

void KeyWaiters::WakeAll() {
  std::vector<OnChange> woken;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, waiting] : waiting_) {
      for (auto& [ticket, on_change] : waiting) woken.push_back(std::move(on_change));
    }
    waiting_.clear();
    size_ = 0;
  }
  for (const OnChange& on_change : woken) on_change();
}

}  // namespace server
