// SPDX-License-Identifier: Apache-2.0
//
// lease_book.h: what one member knows of leases: which there are, since when each was last renewed,
// and, on the leader, which is due.
//
// A member that began later than a lease was renewed does not know that renewal. It then counts the
// lease as renewed when it began, which errs for the client, and says that it is forgetful, until a
// leader tells it (docs/adr/0007). Pure: no thread, no clock.

#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/time.h"
#include "proto/peer.pb.h"
#include "store/lease.h"

namespace server {

class LeaseBook {
 public:
  struct Lease {
    int64_t ttl_seconds = 0;
    // The last renewal that this member heard of.
    base::TimePoint noted_at = base::TimePoint::min();
    // No renewal that was acknowledged and not noted is later. Falls when a leader knows better.
    base::TimePoint assumed_at = base::TimePoint::min();
    // Where it stands among the deadlines: kForever if it does not.
    base::TimePoint looked_at_next = base::kForever;
    // Its end is proposed: it is renewed no more in this term.
    bool doomed = false;

    base::TimePoint renewed_at() const { return std::max(noted_at, assumed_at); }
    base::TimePoint Deadline() const;
  };

  // The member begins, or goes on from another's state.
  void Load(const store::LeaseTtls& ttls, base::TimePoint now);
  void Apply(const store::LeaseChange& change, base::TimePoint now);

  // Null if there is no such lease.
  const Lease* Find(int64_t lease) const;
  size_t size() const { return leases_.size(); }
  // Renewals that were acknowledged may be missing here.
  bool forgetful() const { return forgetful_; }

  // It is being renewed. False if there is no such lease, or it is doomed.
  bool Note(int64_t lease, base::TimePoint now);

  datum::peer::LeaseTable Tell(base::TimePoint now) const;
  // What a leader told, all of what was acknowledged when it told it, as of `now`.
  void Adopt(const datum::peer::LeaseTable& whole, base::TimePoint now);
  // As a leader begins: renewals as members told them, each as of when it came. `own_counts`: what
  // this member assumes is one of these answers.
  using Told = std::pair<const datum::peer::LeaseTable*, base::TimePoint>;
  void Settle(const std::vector<Told>& told, bool own_counts);

  // Deadlines are watched from here on, or no more; no lease is doomed.
  void WatchDeadlines();
  void IgnoreDeadlines();
  // The next moment at which a lease may be due.
  base::TimePoint next_due() const;
  // Leases past their deadline, `most` at most. They are doomed.
  std::vector<int64_t> TakeDue(base::TimePoint now, size_t most);

 private:
  void Watch(int64_t id, Lease* lease);
  void Unwatch(int64_t id, Lease* lease);

  absl::flat_hash_map<int64_t, Lease> leases_;
  bool forgetful_ = true;
  bool watching_ = false;
  // When to look at a lease, at its deadline or earlier: a renewal moves nothing here.
  std::set<std::pair<base::TimePoint, int64_t>> deadlines_;
};

}  // namespace server
