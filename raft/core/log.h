// SPDX-License-Identifier: Apache-2.0
//
// log.h: the Core's picture of the replicated log.
//
// It knows the term of every entry, as runs, and holds the newest entries themselves. Entries
// that are applied here leave memory when their bytes exceed a budget; a peer that still needs
// them is served from the disk (Effects::fetches).

#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "raft/core/types.h"

namespace raft {

class Log {
 public:
  Log() = default;
  // `base`: the log begins behind this place, 0/0 if nothing was ever dropped from its front;
  // `term_runs`: (term, first index of that term), ascending, beginning right behind the base;
  // `tail`: the last entries, up to last_index, without gaps.
  Log(LogPosition base, std::vector<LogPosition> term_runs, Index last_index,
      const std::vector<EntryRef>& tail);

  LogPosition base() const { return base_; }
  LogPosition last() const;
  // The term at `index`; nothing in front of the base or behind the end.
  std::optional<Term> TermAt(Index index) const;
  // The log has an entry at that place with that term (paper 5.3).
  bool Matches(LogPosition position) const { return TermAt(position.index) == position.term; }

  // The last position at or before `limit.index` whose term is at most `limit.term`: where two
  // logs can agree at the latest, given one position of the other.
  LogPosition LastPossibleMatch(LogPosition limit) const;

  // Requires: the entry is the next one.
  void Append(EntryRef entry);
  // Forgets `first` and all behind it.
  void TruncateFrom(Index first);

  // Forgets what lies at or before `base`. Requires: Matches(base).
  void Release(LogPosition base);
  // Forgets everything; the log goes on behind `base`.
  void Restart(LogPosition base);

  // Whether the entry at `index` is in memory.
  bool InMemory(Index index) const;
  const EntryRef& At(Index index) const;  // Requires: InMemory(index).
  // Entries from `from` on, at least one, up to `bytes_max` of commands. Requires: InMemory(from).
  std::vector<EntryRef> Slice(Index from, size_t bytes_max) const;

  // Lets go of the oldest entries at or before `evictable` while more than `bytes_max` are held.
  void Evict(Index evictable, size_t bytes_max);
  size_t bytes_in_memory() const { return bytes_; }

 private:
  LogPosition base_;
  std::vector<LogPosition> term_runs_;
  // Invariant: >= base_.index.
  Index last_index_;
  // Invariant: holds (last_index_ - entries_.size(), last_index_].
  std::deque<EntryRef> entries_;
  size_t bytes_ = 0;
};

// What an entry costs in memory and on the wire, roughly.
size_t EntryBytes(const Entry& entry);

}  // namespace raft
