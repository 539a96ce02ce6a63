// SPDX-License-Identifier: Apache-2.0
//
// following.cc: the follower's side of AppendEntries.

#include <algorithm>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

void Core::OnAppendEntries(const Envelope& envelope) {
  const auto& append = std::get<AppendEntries>(envelope.message);
  HearLeader(envelope.from);

  // Paper, figure 2: reply false if log doesn't contain an entry at prevLogIndex whose term
  // matches prevLogTerm. What is committed here matches the leader's log whatever it says
  // (paper 5.4.3, leader completeness), so a late message is never a reason to go back.
  const bool fits = log_.Matches(append.prev_log) || (base::Planted("place-before-not-compared") &&
                                                      append.prev_log.index <= log_.last().index);
  if (append.prev_log.index > commit_index_ && !fits) {
    // What is missing is perhaps in the snapshot that is being installed.
    if (installing_) return;
    SendAfterPersist(envelope.from, AppendEntriesReply{false, Index{}, append.prev_log.index,
                                                       log_.LastPossibleMatch(append.prev_log)});
    return;
  }
  AppendFromLeader(append.entries);
  const Index proven = std::max(append.prev_log.index + append.entries.size(), commit_index_);
  matched_index_ = std::max(matched_index_, proven);
  // Paper, figure 2: set commitIndex = min(leaderCommit, index of last new entry).
  if (base::Planted("commit-beyond-proven")) matched_index_ = log_.last().index;
  CommitUpTo(std::min(append.leader_commit, matched_index_));
  ClearDoubtIfWhole();
  SendAfterPersist(envelope.from, AppendEntriesReply{true, matched_index_, Index{}, {}});
}

// Paper, figure 2: if an existing entry conflicts with a new one (same index but different
// terms), delete the existing entry and all that follow it; append any new entries not already
// in the log.
void Core::AppendFromLeader(const std::vector<EntryRef>& entries) {
  for (const EntryRef& entry : entries) {
    // In front of the base all is committed, and so the same (paper 5.4.3).
    const bool cuts = base::Planted("append-always-cuts") && entry->index > commit_index_;
    if (entry->index <= log_.base().index || (log_.Matches(entry->position()) && !cuts)) continue;
    if (base::Planted("conflicting-tail-kept") && entry->index <= log_.last().index) continue;
    if (entry->index <= log_.last().index) TruncateFrom(entry->index);
    BeginWrite();
    outstanding_writes_.back().last_index = entry->index;
    effects_->append.push_back(entry);
    log_.Append(entry);
    AdoptConfiguration(*entry);
  }
}

// Raises the commit index, if `index` is beyond it, and hands out what may now be applied.
// Requires: the log up to `index` is known to equal the leader's.
void Core::CommitUpTo(Index index) {
  if (index <= commit_index_) return;
  CHECK_LE(index, log_.last().index);
  commit_index_ = index;
  HandOutCommitted();
}

}  // namespace raft
