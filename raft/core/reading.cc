// SPDX-License-Identifier: Apache-2.0
//
// reading.cc: from which index on a read is linearizable (thesis 6.4).

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

// Until the leader has committed an entry of its own term it does not know which entries of
// older terms are committed, so its commit index may lie in the past (thesis 6.4; etcd#12680).
bool Core::CommittedInOwnTerm() const { return log_.TermAt(commit_index_) == current_term(); }

void Core::OnReadRequest(ReadId id) {
  if (is_leader()) {
    reads_.Add({options_.self, id});
    StartReadRoundIfDue();
  } else if (leader_ != kNobody) {
    Send(leader_, ReadIndexRequest{id});
  } else {
    effects_->reads.push_back({id, false, Index{}});
  }
}

void Core::OnReadIndexRequest(const Envelope& envelope) {
  reads_.Add({envelope.from, std::get<ReadIndexRequest>(envelope.message).id});
  StartReadRoundIfDue();
}

void Core::OnReadIndexReply(const Envelope& envelope) {
  const auto& reply = std::get<ReadIndexReply>(envelope.message);
  if (base::Planted("commit-from-read-index")) {
    CommitUpTo(std::min(reply.read_index, log_.last().index));
  }
  effects_->reads.push_back({reply.id, true, reply.read_index});
}

void Core::StartReadRoundIfDue() {
  const bool may_start = CommittedInOwnTerm() || base::Planted("read-before-own-term");
  if (reads_.in_flight() || !reads_.has_waiting() || !may_start) return;
  reads_.StartRound(commit_index_);
  if (!progress_.empty()) BroadcastHeartbeat();
  FinishReadRoundIfConfirmed();
}

// A quorum has answered this round or a later one: there was no newer leader when it began.
void Core::FinishReadRoundIfConfirmed() {
  if (!reads_.in_flight()) return;
  const bool confirmed = configuration().IsQuorum([this](NodeId node) {
    return node == options_.self || progress_.at(node).confirmed_round >= reads_.round();
  });
  if (!confirmed && !base::Planted("read-not-confirmed")) return;
  for (const ReadQueue::Read& read : reads_.FinishRound()) AnswerRead(read, true);
  StartReadRoundIfDue();
}

void Core::AnswerRead(const ReadQueue::Read& read, bool granted) {
  if (read.from == options_.self) {
    effects_->reads.push_back({read.id, granted, reads_.read_index()});
  } else if (granted) {
    Send(read.from, ReadIndexReply{read.id, reads_.read_index()});
  }
}

}  // namespace raft
