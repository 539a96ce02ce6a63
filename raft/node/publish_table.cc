// SPDX-License-Identifier: Apache-2.0

#include "raft/node/publish_table.h"

namespace raft {

void PublishTable::Add(PublishId id, Term term, base::TimePoint deadline, PublishDone done) {
  std::lock_guard lock(mutex_);
  waiters_[id] = {term, deadline, std::move(done)};
}

bool PublishTable::Contains(PublishId id) const {
  std::lock_guard lock(mutex_);
  return waiters_.contains(id);
}

size_t PublishTable::size() const {
  std::lock_guard lock(mutex_);
  return waiters_.size();
}

PublishDone PublishTable::Take(PublishId id) {
  std::lock_guard lock(mutex_);
  auto found = waiters_.find(id);
  if (found == waiters_.end()) return nullptr;
  PublishDone done = std::move(found->second.done);
  waiters_.erase(found);
  return done;
}

std::vector<PublishDone> PublishTable::TakeOlderThan(Term term) {
  return TakeIf([term](const Waiter& waiter) { return waiter.term < term; });
}

std::vector<PublishDone> PublishTable::TakeExpired(base::TimePoint now) {
  return TakeIf([now](const Waiter& waiter) { return waiter.deadline <= now; });
}

std::vector<PublishDone> PublishTable::TakeAll() {
  return TakeIf([](const Waiter&) { return true; });
}

std::vector<PublishDone> PublishTable::TakeIf(const std::function<bool(const Waiter&)>& condition) {
  std::vector<PublishDone> taken;
  std::lock_guard lock(mutex_);
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    if (condition(at->second)) {
      taken.push_back(std::move(at->second.done));
      waiters_.erase(at++);
    } else {
      ++at;
    }
  }
  return taken;
}

}  // namespace raft
