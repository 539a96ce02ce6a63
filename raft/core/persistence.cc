// SPDX-License-Identifier: Apache-2.0
//
// persistence.cc: what is durable on this disk, what has been cut from it again, and what may
// therefore be counted, voted with and applied.

#include <algorithm>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

// This Effects holds something durable: it becomes a write with a number.
void Core::BeginWrite() {
  if (effects_->write == WriteNumber{}) {
    effects_->write = ++last_write_;
    outstanding_writes_.push_back({last_write_, Index{}, std::nullopt});
  }
  CHECK_EQ(effects_->write, outstanding_writes_.back().number);
}

void Core::PersistHardState() {
  BeginWrite();
  effects_->hard_state = hard_state_;
  if (base::Planted("vote-not-persisted")) effects_->hard_state->voted_for.reset();
  outstanding_writes_.back().hard_state_term = current_term();
}

// Cuts the log where the leader's differs. What is durable and what is on its way to the disk
// ends there too: an answer about an entry that was overwritten must not count for the one that
// took its place (etcd-io/raft, "append ABA race").
void Core::TruncateFrom(Index first) {
  CHECK_GT(first, commit_index_) << "a committed entry would be overwritten";
  log_.TruncateFrom(first);
  while (!effects_->append.empty() && effects_->append.back()->index >= first) {
    effects_->append.pop_back();
  }
  persisted_index_ = std::min(persisted_index_, first - 1);
  matched_index_ = std::min(matched_index_, first - 1);
  for (OutstandingWrite& write : outstanding_writes_) {
    write.last_index = std::min(write.last_index, first - 1);
  }
}

void Core::OnPersisted(WriteNumber write) {
  bool own_vote_is_durable = false;
  while (!outstanding_writes_.empty() && outstanding_writes_.front().number <= write) {
    const OutstandingWrite& done = outstanding_writes_.front();
    persisted_index_ = std::max(persisted_index_, done.last_index);
    if (done.hard_state_term == current_term()) own_vote_is_durable = true;
    outstanding_writes_.pop_front();
  }
  CHECK_LE(persisted_index_, log_.last().index);
  if (role_ == Role::kCandidate && own_vote_is_durable) CountVote(options_.self);
  if (is_leader()) AdvanceCommit();
  HandOutCommitted();
}

// DESIGN.md, rule 3: nothing is applied past what this member itself has persisted.
void Core::HandOutCommitted() {
  const Index through = std::min(commit_index_, persisted_index_);
  while (handed_out_ < through) {
    ++handed_out_;
    effects_->apply.push_back(log_.At(handed_out_));
  }
}

void Core::OnApplied(Index index) {
  CHECK_LE(index, handed_out_);
  last_applied_ = std::max(last_applied_, index);
  log_.Evict(last_applied_, options_.log_cache_bytes_max);
}

}  // namespace raft
