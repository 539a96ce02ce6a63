// SPDX-License-Identifier: Apache-2.0
//
// heartbeat.cc: the heartbeat task, its answer, and what a leader does without answers.

#include <algorithm>

#include "base/canary.h"
#include "raft/core/core.h"

namespace raft {

void Core::HeartbeatTask() {
  if (now_ >= quorum_due_) CheckQuorum();
  if (is_leader()) TransferTask();
  if (is_leader() && now_ >= heartbeat_due_) BroadcastHeartbeat();
}

// Tells every peer that the leader lives, and asks it to confirm the read round under way.
void Core::BroadcastHeartbeat() {
  heartbeat_due_ = now_ + options_.heartbeat_interval;
  for (const auto& [peer, progress] : progress_) {
    Send(peer, Heartbeat{commit_index_, reads_.round(), agreed_digest_, progress.session,
                         progress.acknowledged, progress.acknowledged_in});
  }
}

// Thesis 6.2: a leader steps down if an election timeout elapses without a successful round of
// heartbeats to a majority; so that clients try another server. Looked at with every heartbeat,
// else it would be up to two timeouts. It may still be heard by those that it does not hear: of
// them, whoever has most of the log stands at once.
void Core::CheckQuorum() {
  const bool heard = configuration().IsQuorum([this](NodeId node) {
    if (node == options_.self) return true;
    return progress_.at(node).last_heard > now_ - options_.election_timeout;
  });
  if (heard) {
    quorum_due_ = now_ + options_.heartbeat_interval;
    silence_forgiven_ = false;
    return;
  }
  Trace("hears no quorum");
  const NodeId successor = BestSuccessor(false);
  if (successor != kNobody) Send(successor, TimeoutNow{});
  BecomeFollower(current_term(), kNobody);
}

void Core::OnHeartbeat(const Envelope& envelope) {
  const auto& heartbeat = std::get<Heartbeat>(envelope.message);
  HearLeader(envelope.from);
  // The leader's commit index says nothing of what stands in this log behind the place up to
  // which the two are known to agree (Scylla#9965).
  const Index proven = base::Planted("commit-from-heartbeat") ? log_.last().index : matched_index_;
  if (heartbeat.heard_session > options_.session) ForgetLives(heartbeat.heard_session);
  // Once this life is heard, nothing is committed on what an earlier one has forgotten: the first
  // that is told then is enough, so that a slow disk under load need not keep up to become whole.
  const bool is_heard = heartbeat.heard_session == options_.session;
  if (is_heard && told_commit_ <= std::min(persisted_index_, matched_index_)) {
    told_commit_ = std::max(told_commit_, heartbeat.leader_commit);
  }
  DoubtIfForgotten(heartbeat);
  CommitUpTo(std::min(heartbeat.leader_commit, proven));
  ClearDoubtIfWhole();
  CompareWithAgreed(heartbeat.agreed);
  const StateDigest digest = digests_.empty() ? StateDigest{} : digests_.back();
  Send(envelope.from, HeartbeatReply{heartbeat.round, digest, state_lost_ && !installing_});
}

void Core::OnHeartbeatReply(const Envelope& envelope) {
  const auto& reply = std::get<HeartbeatReply>(envelope.message);
  Progress* const heard = HearPeer(envelope);
  if (heard == nullptr) return;
  Progress& progress = *heard;
  progress.confirmed_round = std::max(progress.confirmed_round, reply.round);
  if (base::Planted("any-answer-confirms")) progress.confirmed_round = reads_.round();
  FinishReadRoundIfConfirmed();
  if (reply.digest.index != Index{}) NoteDigest(envelope.from, reply.digest);
  const bool wants_state = reply.needs_snapshot || progress.state == Progress::State::kSnapshot;
  if (wants_state) WishSnapshot(envelope.from, &progress);
  // A sign of life from a peer that lags and does not move: what was sent may have been lost.
  // Asking where it stands costs little, and its answer sets the pipeline right.
  if (progress.state != Progress::State::kSnapshot && progress.match_index < log_.last().index &&
      now_ >= progress.last_advance + options_.heartbeat_interval &&
      !base::Planted("lost-append-not-sent-again")) {
    progress.last_advance = now_;
    progress.probe_sent = false;
    if (progress.state == Progress::State::kProbe) {
      SendAppends(envelope.from, &progress);
    } else {
      SendPosition(envelope.from, &progress);
    }
  }
}

}  // namespace raft
