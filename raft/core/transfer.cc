// SPDX-License-Identifier: Apache-2.0
//
// transfer.cc: leadership goes to another member: because somebody asks for it, because this
// node's disk stalls, or because the connection to the leader broke.

#include <algorithm>

#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

// Of the voters that were heard lately, or were not, the one that has most of the log.
NodeId Core::BestSuccessor(bool heard) const {
  NodeId best = kNobody;
  Index best_match;
  for (const auto& [peer, progress] : progress_) {
    if (!configuration().IsVoter(peer)) continue;
    if ((progress.last_heard > now_ - options_.election_timeout) != heard) continue;
    if (best != kNobody && progress.match_index <= best_match) continue;
    best = peer;
    best_match = progress.match_index;
  }
  return best;
}

// Thesis 3.10: the leader takes no more publishes, brings the target up to date, and then tells
// it to stand. If that takes longer than an election timeout, it leads on.
void Core::OnTransferLeadership(NodeId to) {
  if (!is_leader() || to == options_.self) return;
  if (transfer_ && (to == kNobody || to == transfer_->to)) return;
  if (to == kNobody) to = BestSuccessor(true);
  if (to == kNobody || !configuration().IsVoter(to)) return;
  transfer_ = Transfer{to, now_ + options_.election_timeout};
  Trace("hands over");
  SendTimeoutNowIfCaughtUp();
}

void Core::SendTimeoutNowIfCaughtUp() {
  if (!is_leader() || !transfer_ || transfer_->sent) return;
  const auto found = progress_.find(transfer_->to);
  if (found == progress_.end() || found->second.match_index != log_.last().index) return;
  transfer_->sent = true;
  Send(transfer_->to, TimeoutNow{});
}

void Core::OnTimeoutNow(const Envelope& envelope) {
  if (envelope.from != leader_ || !MayStand() || DiskStalls()) return;
  StartElection(true);
}

bool Core::DiskStalls() const {
  const auto asked_at = oldest_write_at();
  return asked_at && *asked_at + options_.election_timeout <= now_;
}

// This disk stands still while another's goes on. Where all stand still, as they may below one
// machine, nobody would do better, and to hand over would only add an election.
bool Core::DiskLagsBehindOthers() const {
  if (!DiskStalls()) return false;
  const NodeId other = BestSuccessor(true);
  return other != kNobody && progress_.at(other).match_index > persisted_index_;
}

std::optional<base::TimePoint> Core::oldest_write_at() const {
  if (outstanding_writes_.empty()) return std::nullopt;
  return outstanding_writes_.front().asked_at;
}

// With each heartbeat: a hand-over that came to nothing ends, and a leader that should not lead
// tries the next one (hashicorp/raft#503: heartbeats alone kept a leader whose disk stood still).
void Core::TransferTask() {
  const bool unfit = DiskLagsBehindOthers() || state_lost_;
  if (transfer_ && now_ >= transfer_->deadline) {
    transfer_.reset();
    Trace("gives up handing over");
    // Whoever it was sent to may yet stand; a leader that is unfit does not stand in the way.
    if (unfit && BestSuccessor(true) != kNobody) return BecomeFollower(current_term(), kNobody);
  }
  if (unfit && !transfer_) OnTransferLeadership(kNobody);
}

// The connection to the leader broke or is refused: its process is probably gone. Leader due moves
// up; a wrong hint costs a pre-vote, which those who hear the leader refuse.
void Core::OnPeerLost(NodeId peer) {
  constexpr int kQuickTries = 6;
  if (role_ != Role::kFollower || peer != leader_) return;
  leader_heard_at_ = base::TimePoint::min();
  quick_tries_ = kQuickTries;
  leader_due_ = std::min(leader_due_, now_ + RandomUpTo(options_.heartbeat_interval / 2));
}

}  // namespace raft
