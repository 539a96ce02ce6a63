// SPDX-License-Identifier: Apache-2.0
//
// election.cc: the election task and the votes.

#include <sstream>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

// Leader due is past: no leader was heard, nor a vote granted, for a random election timeout.
void Core::ElectionTask() {
  if (MayStand()) StartPreVote();
}

// Thesis 9.6: ask first whether an election could be won, without raising any term, so that a
// member that was cut off disturbs nobody when it returns.
void Core::StartPreVote() {
  role_ = Role::kPreCandidate;
  leader_ = kNobody;
  leader_due_ = now_ + NextTryIn();
  votes_.clear();
  Trace("becomes pre-candidate");
  const RequestVote request{true, current_term() + 1, log_.last()};
  for (NodeId voter : configuration().voters()) {
    if (voter != options_.self) Send(voter, request);
  }
  // Its own pre-vote promises nothing and needs no disk.
  CountVote(options_.self);
}

// When an election that was not won is tried again. After a hint (transfer.cc) soon: the others may
// hear of the leader's end a moment later than this node did.
base::Duration Core::NextTryIn() {
  if (quick_tries_ == 0) return RandomElectionTimeout();
  --quick_tries_;
  return options_.heartbeat_interval / 2 + RandomUpTo(options_.heartbeat_interval);
}

// Paper 5.2: increment the term, vote for oneself, ask all others.
void Core::StartElection(bool transfer) {
  role_ = Role::kCandidate;
  leader_ = kNobody;
  EnterTerm(current_term() + 1, options_.self);
  leader_due_ = now_ + NextTryIn();
  if (!base::Planted("pre-votes-kept")) votes_.clear();
  Trace("becomes candidate");
  const RequestVote request{false, current_term(), log_.last(), transfer};
  for (NodeId voter : configuration().voters()) {
    if (voter != options_.self) SendAfterPersist(voter, request);
  }
  // Its own vote counts once it is durable: OnPersisted.
}

bool Core::HasLiveLeader() const {
  if (is_leader()) return true;
  return leader_ != kNobody && now_ < leader_heard_at_ + options_.election_timeout;
}

// Paper 5.4.1: the log with the later last term is more up-to-date; with equal terms the longer.
bool Core::IsUpToDate(LogPosition last_log) const {
  if (base::Planted("log-up-to-date-dropped")) return true;
  return last_log >= log_.last();
}

void Core::OnRequestVote(const Envelope& envelope) {
  const auto& request = std::get<RequestVote>(envelope.message);
  if (request.pre_vote) {
    // A rehearsal: whether the vote would be granted. No promise, no state.
    const bool granted = !HasLiveLeader() && !hard_state_.doubtful &&
                         request.for_term > current_term() && IsUpToDate(request.last_log);
    Send(envelope.from, RequestVoteReply{true, request.for_term, granted});
    return;
  }
  // Paper, figure 2: if votedFor is null or candidateId, and the candidate's log is at least as
  // up-to-date as the receiver's, grant the vote.
  const bool free = !hard_state_.voted_for || *hard_state_.voted_for == envelope.from ||
                    base::Planted("votes-for-everybody");
  const bool granted = free && leader_ == kNobody && role_ == Role::kFollower &&
                       !hard_state_.doubtful && IsUpToDate(request.last_log);
  if (granted) {
    if (!hard_state_.voted_for) {
      hard_state_.voted_for = envelope.from;
      PersistHardState();
      std::ostringstream line;
      line << "votes for n" << envelope.from;
      Trace(line.str());
    }
    leader_due_ = now_ + RandomElectionTimeout();
  }
  SendAfterPersist(envelope.from, RequestVoteReply{false, request.for_term, granted});
}

void Core::OnRequestVoteReply(const Envelope& envelope) {
  const auto& reply = std::get<RequestVoteReply>(envelope.message);
  // A late reply to another question (Scylla bd168d57ff took a pre-vote for a vote).
  const bool rehearsal = role_ == Role::kPreCandidate;
  const Term asked_for = rehearsal ? current_term() + 1 : current_term();
  if (base::Planted("refusal-counts-as-vote")) return CountVote(envelope.from);
  if (reply.pre_vote != rehearsal || reply.for_term != asked_for || !reply.granted) return;
  CountVote(envelope.from);
}

void Core::CountVote(NodeId voter) {
  votes_.insert(voter);
  // A snapshot came while it stood: what it would lead with is being replaced.
  if (installing_) return;
  const bool elected =
      configuration().IsQuorum([this](NodeId node) { return votes_.count(node) > 0; });
  if (!elected) return;
  if (role_ == Role::kPreCandidate) {
    StartElection(false);
  } else {
    BecomeLeader();
  }
}

// Paper 5.2 and 8: a new leader tells everyone at once, and appends an empty entry, by whose
// commit it learns which entries of older terms are committed.
void Core::BecomeLeader() {
  CHECK(role_ == Role::kCandidate);
  role_ = Role::kLeader;
  leader_ = options_.self;
  last_led_term_ = current_term();
  votes_.clear();
  heartbeat_due_ = now_ + options_.heartbeat_interval;
  quorum_due_ = now_ + options_.election_timeout;
  progress_.clear();
  ShapeProgress();
  reads_ = ReadQueue();
  uncommitted_bytes_ = 0;
  commit_moved_at_ = now_;
  member_digests_.clear();
  agreed_digest_ = StateDigest{};
  Trace("becomes leader");
  if (log_.last().index == Index{} && !options_.bootstrap_command.empty()) {
    AppendOwn(EntryKind::kConfiguration, kNobody, PublishId{}, options_.bootstrap_command);
  }
  AppendOwn(EntryKind::kLeaderStart, kNobody, PublishId{}, "");
  SendAppends();
}

}  // namespace raft
