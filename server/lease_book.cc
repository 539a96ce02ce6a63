// SPDX-License-Identifier: Apache-2.0

#include "server/lease_book.h"

#include <algorithm>

#include "base/canary.h"

namespace server {
namespace {

// Longer TTLs, a thousand years and more, never end; and their sums would not fit.
constexpr int64_t kEndlessSeconds = int64_t{1} << 32;

// What a planted bug takes from a lease.
constexpr base::Duration kForgotten = std::chrono::minutes(1);

base::TimePoint After(base::TimePoint from, int64_t seconds) {
  if (seconds >= kEndlessSeconds || from >= base::kForever - std::chrono::seconds(seconds)) {
    return base::kForever;
  }
  return from + std::chrono::seconds(seconds);
}

base::Duration AgeOf(const datum::peer::LeaseTable& table, int i) {
  // What another member says is no reason to overflow.
  constexpr uint64_t kOldest = uint64_t{kEndlessSeconds} * 1'000'000;
  return std::chrono::microseconds(std::min(table.ages_us(i), kOldest));
}

int SizeOf(const datum::peer::LeaseTable& table) {
  return std::min(table.leases_size(), table.ages_us_size());
}

}  // namespace

base::TimePoint LeaseBook::Lease::Deadline() const { return After(renewed_at(), ttl_seconds); }

void LeaseBook::Load(const store::LeaseTtls& ttls, base::TimePoint now) {
  leases_.clear();
  deadlines_.clear();
  forgetful_ = true;
  for (const auto& [id, ttl] : ttls) {
    Lease& lease = leases_[id];
    lease.ttl_seconds = ttl;
    lease.assumed_at = now;
    if (base::Planted("lease-forgetful-assumes-nothing")) lease.assumed_at -= kForgotten;
    if (watching_) Watch(id, &lease);
  }
}

void LeaseBook::Apply(const store::LeaseChange& change, base::TimePoint now) {
  const auto found = leases_.find(change.lease);
  if (found != leases_.end()) {
    Unwatch(change.lease, &found->second);
    leases_.erase(found);
  }
  if (!change.granted) return;
  Lease& lease = leases_[change.lease];
  lease.ttl_seconds = change.ttl_seconds;
  lease.assumed_at = now;
  if (watching_) Watch(change.lease, &lease);
}

const LeaseBook::Lease* LeaseBook::Find(int64_t lease) const {
  const auto found = leases_.find(lease);
  return found == leases_.end() ? nullptr : &found->second;
}

bool LeaseBook::Note(int64_t lease, base::TimePoint now) {
  const auto found = leases_.find(lease);
  if (found == leases_.end() || found->second.doomed) return false;
  found->second.noted_at = std::max(found->second.noted_at, now);
  return true;
}

datum::peer::LeaseTable LeaseBook::Tell(base::TimePoint now) const {
  datum::peer::LeaseTable table;
  table.mutable_leases()->Reserve(static_cast<int>(leases_.size()));
  table.mutable_ages_us()->Reserve(static_cast<int>(leases_.size()));
  for (const auto& [id, lease] : leases_) {
    const base::Duration age = std::max(base::Duration::zero(), now - lease.renewed_at());
    table.add_leases(id);
    table.add_ages_us(
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(age).count()));
  }
  return table;
}

void LeaseBook::Adopt(const datum::peer::LeaseTable& whole, base::TimePoint now) {
  for (int i = 0; i < SizeOf(whole); ++i) {
    const auto found = leases_.find(static_cast<int64_t>(whole.leases(i)));
    if (found == leases_.end()) continue;
    Lease& lease = found->second;
    lease.assumed_at = std::min(lease.assumed_at, now - AgeOf(whole, i));
  }
  forgetful_ = false;
}

void LeaseBook::Settle(const std::vector<Told>& told, bool own_counts) {
  absl::flat_hash_map<int64_t, base::TimePoint> renewed;
  for (const auto& [table, at] : told) {
    for (int i = 0; i < SizeOf(*table); ++i) {
      const base::TimePoint then = at - AgeOf(*table, i);
      const auto [place, first] = renewed.try_emplace(static_cast<int64_t>(table->leases(i)), then);
      if (!first) place->second = std::max(place->second, then);
    }
  }
  for (auto& [id, lease] : leases_) {
    const auto found = renewed.find(id);
    // Granted since they answered: what this member saw is all there is.
    if (found == renewed.end()) continue;
    if (own_counts) lease.assumed_at = std::max(lease.assumed_at, found->second);
    if (!own_counts) lease.assumed_at = found->second;
  }
  forgetful_ = false;
}

void LeaseBook::WatchDeadlines() {
  watching_ = true;
  for (auto& [id, lease] : leases_) {
    lease.doomed = false;
    if (lease.looked_at_next == base::kForever) Watch(id, &lease);
  }
}

void LeaseBook::IgnoreDeadlines() {
  watching_ = false;
  deadlines_.clear();
  for (auto& [id, lease] : leases_) {
    lease.doomed = false;
    lease.looked_at_next = base::kForever;
  }
}

base::TimePoint LeaseBook::next_due() const {
  return deadlines_.empty() ? base::kForever : deadlines_.begin()->first;
}

std::vector<int64_t> LeaseBook::TakeDue(base::TimePoint now, size_t most) {
  std::vector<int64_t> due;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now && due.size() < most) {
    const int64_t id = deadlines_.begin()->second;
    Lease& lease = leases_.at(id);
    Unwatch(id, &lease);
    if (lease.Deadline() > now && !base::Planted("lease-renewal-ignored")) {
      Watch(id, &lease);
      continue;
    }
    lease.doomed = true;
    due.push_back(id);
  }
  return due;
}

void LeaseBook::Watch(int64_t id, Lease* lease) {
  lease->looked_at_next = lease->Deadline();
  if (lease->looked_at_next != base::kForever) deadlines_.emplace(lease->looked_at_next, id);
}

void LeaseBook::Unwatch(int64_t id, Lease* lease) {
  if (lease->looked_at_next != base::kForever) deadlines_.erase({lease->looked_at_next, id});
  lease->looked_at_next = base::kForever;
}

}  // namespace server
