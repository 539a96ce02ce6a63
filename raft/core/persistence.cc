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
    outstanding_writes_.push_back({last_write_, Index{}, std::nullopt, now_});
  }
  CHECK_EQ(effects_->write, outstanding_writes_.back().number);
}

void Core::PersistHardState() {
  BeginWrite();
  effects_->hard_state = hard_state_;
  if (base::Planted("vote-not-persisted")) effects_->hard_state->voted_for.reset();
  if (base::Planted("older-term-persisted")) effects_->hard_state->current_term = log_.last().term;
  outstanding_writes_.back().hard_state_term = current_term();
}

// Cuts the log where the leader's differs. What is durable and what is on its way to the disk
// ends there too: an answer about an entry that was overwritten must not count for the one that
// took its place (etcd-io/raft, "append ABA race").
void Core::TruncateFrom(Index first) {
  CHECK_GT(first, commit_index_) << "a committed entry would be overwritten";
  log_.TruncateFrom(first);
  CutConfigurations(first);
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
  ClearDoubtIfWhole();
  HandOutCommitted();
}

// The log lacks what the present leader says this node has acknowledged in some life. Nobody can
// tell what was acknowledged to an earlier leader. Another life than this one: the disk lied about
// what it had synced, or is an older copy that was not started since; it is in doubt until it holds
// that too. A life of this one's number: an older copy that was started since.
void Core::DoubtIfForgotten(const Heartbeat& heartbeat) {
  const LogPosition& acknowledged = heartbeat.acknowledged;
  if (acknowledged.index <= log_.base().index || log_.Matches(acknowledged)) return;
  if (heartbeat.acknowledged_in == options_.session) {
    return ForgetLives(heartbeat.acknowledged_in);
  }
  // Before, late answers of the earlier life may yet say more.
  if (heartbeat.heard_session == options_.session) {
    told_commit_ = std::max(told_commit_, acknowledged.index);
  }
  if (!hard_state_.doubtful) Doubt("lacks what it has acknowledged");
}

// The leader has heard a later life of this node than this one is, or another one of the same
// number: the directory was put back from an older copy, and what it acknowledged since is gone.
// Nothing is heard of it as it is, so this life is to end (NodeStatus::outlived), and the next one
// is later than all that were heard. Not seen: a directory whose later lives no present leader has
// heard.
void Core::ForgetLives(Session session) {
  if (session <= hard_state_.forgotten) return;
  hard_state_.forgotten = session;
  Doubt("stands on an older copy of its own disk");
}

void Core::Doubt(const char* why) {
  hard_state_.doubtful = true;
  PersistHardState();
  effects_->acknowledged_is_gone = true;
  Trace(why);
}

// A node that lost part of its log is whole again when it durably holds all that the leader had
// committed, in its own term, once it had heard this life of the node: an entry whose commit may
// rest on what the node acknowledged and forgot is among that, or is in the log of a leader that
// was elected without its vote. What the leader said before is no such word, and may come late; nor
// is anything that was said to a life that was outlived.
void Core::ClearDoubtIfWhole() {
  if (!hard_state_.doubtful || outlived()) return;
  const bool whole = told_commit_ != Index{} &&
                     told_commit_ <= std::min(persisted_index_, matched_index_) &&
                     log_.TermAt(told_commit_) == current_term();
  if (!whole && !base::Planted("doubt-cleared-at-once")) return;
  hard_state_.doubtful = false;
  PersistHardState();
  Trace("is whole again");
}

// DESIGN.md, rule 3: nothing is applied past what this member itself has persisted.
void Core::HandOutCommitted() {
  if ((installing_ && !base::Planted("applies-while-installing")) || state_lost_) return;
  const Index through = std::min(commit_index_, persisted_index_);
  while (handed_out_ < through) {
    const Index next = handed_out_ + 1;
    if (!log_.InMemory(next)) {
      // Behind a snapshot older than what had left memory.
      if (fetching_own_ != next) effects_->fetches.push_back({options_.self, next});
      fetching_own_ = next;
      return;
    }
    handed_out_ = next;
    effects_->apply.push_back(log_.At(next));
  }
}

void Core::OnOwnFetched(const Fetched& fetched) {
  fetching_own_ = Index{};
  CHECK(!fetched.entries.empty()) << "this node's log gives entry " << fetched.from
                                  << " back no more, which its state needs";
  if (installing_ || state_lost_) return;
  for (const EntryRef& entry : fetched.entries) {
    if (entry->index != handed_out_ + 1 || entry->index > commit_index_) break;
    CHECK(log_.Matches(entry->position()));
    handed_out_ = entry->index;
    effects_->apply.push_back(entry);
  }
  HandOutCommitted();
}

void Core::OnApplied(const Applied& applied) {
  CHECK_LE(applied.index, handed_out_);
  last_applied_ = std::max(last_applied_, applied.index);
  if (applied.digest.index != Index{} &&
      (digests_.empty() || digests_.back().index < applied.digest.index)) {
    constexpr size_t kDigestsMax = 64;
    digests_.push_back(applied.digest);
    if (digests_.size() > kDigestsMax) digests_.pop_front();
    NoteDigest(options_.self, applied.digest);
  }
  log_.Evict(last_applied_, options_.log_cache_bytes_max);
}

}  // namespace raft
