// SPDX-License-Identifier: Apache-2.0
//
// invariants.cc: what must hold of one Core at every moment, and across every step. (What must
// hold between members is checked by the simulator.)

#include <algorithm>

#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

void CheckInvariants(const Core& core) {
  const Index last = core.log_.last().index;
  CHECK_LE(core.commit_index_, last);
  CHECK_LE(core.persisted_index_, last);
  CHECK_LE(core.last_applied_, core.handed_out_);
  CHECK_LE(core.handed_out_, core.commit_index_);
  CHECK_LE(core.handed_out_, core.persisted_index_);
  CHECK_LE(core.log_.last().term, core.current_term());
  CHECK_LE(core.matched_index_, last);

  const bool candidate = core.role_ == Role::kCandidate || core.role_ == Role::kLeader;
  // Who stands for election has voted for itself in this term.
  if (candidate) CHECK(core.hard_state_.voted_for == core.options_.self);
  CHECK_EQ(core.role_ == Role::kLeader, core.leader_ == core.options_.self);
  if (core.role_ != Role::kLeader) CHECK(core.progress_.empty());

  for (const auto& [peer, progress] : core.progress_) {
    CHECK_LT(progress.match_index, progress.next_index) << "peer " << peer;
    CHECK_LE(progress.match_index, last) << "peer " << peer;
    CHECK_LE(progress.next_index, last + 1) << "peer " << peer;
    size_t bytes = 0;
    Index before = progress.match_index;
    for (const Progress::InFlight& message : progress.in_flight) {
      CHECK_GE(message.last_index, before) << "peer " << peer;
      before = message.last_index;
      bytes += message.bytes;
    }
    CHECK_EQ(bytes, progress.in_flight_bytes) << "peer " << peer;
    if (progress.state == Progress::State::kProbe) CHECK(progress.in_flight.empty());
  }

  WriteNumber before{};
  for (const Core::OutstandingWrite& write : core.outstanding_writes_) {
    CHECK_GT(write.number, before);
    CHECK_LE(write.last_index, last);
    before = write.number;
  }
}

CoreView CoreView::Of(const Core& core) {
  return {core.hard_state(),      core.role(),      core.leader(), core.commit_index(),
          core.last_handed_out(), core.log().last()};
}

void CheckStep(const CoreView& before, const CoreView& after, const Effects& effects) {
  // Terms only rise; within a term the vote is set at most once.
  CHECK_GE(after.hard_state.current_term, before.hard_state.current_term);
  if (after.hard_state.current_term == before.hard_state.current_term) {
    if (before.hard_state.voted_for) {
      CHECK(after.hard_state.voted_for == before.hard_state.voted_for);
    }
    // Paper 5.2: a term has one leader.
    if (before.leader != kNobody && after.leader != kNobody) {
      CHECK_EQ(before.leader, after.leader);
    }
  }
  CHECK_GE(after.commit_index, before.commit_index);
  CHECK_GE(after.handed_out, before.handed_out);
  // Paper 5.3, leader append-only: a leader's log never gets shorter.
  if (before.role == Role::kLeader && after.role == Role::kLeader &&
      before.hard_state.current_term == after.hard_state.current_term) {
    CHECK_GE(after.last_log, before.last_log);
  }
  // A promise never leaves before the disk has it (paper, figure 2).
  for (const Envelope& envelope : effects.send_now) {
    CHECK(!std::holds_alternative<AppendEntriesReply>(envelope.message));
    if (const auto* reply = std::get_if<RequestVoteReply>(&envelope.message)) {
      CHECK(reply->pre_vote);
    }
    if (const auto* request = std::get_if<RequestVote>(&envelope.message)) {
      CHECK(request->pre_vote);
    }
  }
}

}  // namespace raft
