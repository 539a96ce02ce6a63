// SPDX-License-Identifier: Apache-2.0
//
// publish_table.h: the publishes of this node's clients that are on their way, and who waits.
//
// A publish was sent into the log of one term and can be in no other: a leader takes only what
// was forwarded to it in its own term. So when the first entry of a later term is applied here,
// whatever of an older term has not been applied never will be: it was dropped, for certain.
//
// Threads: any; each method is atomic. Callbacks are returned, not called.

#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/time.h"
#include "raft/core/types.h"
#include "raft/node/node.h"

namespace raft {

class PublishTable {
 public:
  void Add(PublishId id, Term term, base::TimePoint deadline, PublishDone done);

  bool Contains(PublishId id) const;
  size_t size() const;

  // Takes the waiter of `id` out of the table. Empty if there is none (any more).
  PublishDone Take(PublishId id);

  // Takes out all that was sent in a term before `term`.
  std::vector<PublishDone> TakeOlderThan(Term term);

  // Takes out all whose deadline is past.
  std::vector<PublishDone> TakeExpired(base::TimePoint now);

  std::vector<PublishDone> TakeAll();

 private:
  struct Waiter {
    Term term;
    base::TimePoint deadline;
    PublishDone done;
  };
  std::vector<PublishDone> TakeIf(const std::function<bool(const Waiter&)>& condition);

  mutable std::mutex mutex_;
  absl::flat_hash_map<PublishId, Waiter> waiters_;
};

}  // namespace raft
