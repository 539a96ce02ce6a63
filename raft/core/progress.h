// SPDX-License-Identifier: Apache-2.0
//
// progress.h: what a leader knows of one peer's log, and how it sends to it.

#pragma once

#include <cstddef>
#include <deque>

#include "base/time.h"
#include "raft/core/message.h"
#include "raft/core/types.h"

namespace raft {

struct Progress {
  // kProbe: where the logs agree is not known; one message at a time.
  // kReplicate: the peer follows; messages are pipelined up to the window's limits.
  // kSnapshot: what it needs is no longer in the log; nothing is sent before it has a state.
  enum class State { kProbe, kReplicate, kSnapshot };

  // A message with entries that was sent and not yet answered.
  struct InFlight {
    Index last_index;
    size_t bytes = 0;
  };

  // The life of the peer that all of this is about. 0: it has not answered yet.
  Session session;

  State state = State::kProbe;
  // Paper, figure 2. match_index never falls within a term and a life of the peer.
  // Invariant: match_index < next_index.
  Index match_index;
  Index next_index{1};
  // The highest match_index of all its lives in this term, and the life in which it was reached.
  LogPosition acknowledged;
  Session acknowledged_in;

  // Probe: a question is out; asked again at the next sign of life.
  bool probe_sent = false;
  // The entries from here on were asked of the disk. 0: none are.
  Index fetching;
  // Replicate: the window, oldest first, and the sum of its bytes.
  std::deque<InFlight> in_flight;
  size_t in_flight_bytes = 0;
  // The commit index that this peer was told last.
  Index commit_told;

  // A state is on its way to this peer; the log behind `snapshot_floor` is kept for it.
  bool snapshot_under_way = false;
  Index snapshot_floor;
  // And on, until it has all up to here: else it would need another state before it had caught up.
  Index keep_until;
  // Before that no other one is sent.
  base::TimePoint snapshot_due = base::TimePoint::min();

  // When match_index last rose, or the peer was asked where it stands because it did not.
  base::TimePoint last_advance = base::TimePoint::min();

  // When this peer answered last in this term; for check-quorum.
  base::TimePoint last_heard = base::TimePoint::min();
  // The highest confirmation round that it answered.
  ReadRound confirmed_round;
  // The last publish of this peer that was taken in this term: what the network delivers twice
  // or late is not taken again.
  PublishId last_publish;

  void BecomeProbe() {
    state = State::kProbe;
    next_index = match_index + 1;
    probe_sent = false;
    fetching = Index{};
    in_flight.clear();
    in_flight_bytes = 0;
  }

  // The peer was started anew: what it had acknowledged may be gone with a damaged disk.
  void BeginSession(Session new_session) {
    session = new_session;
    match_index = Index{};
    confirmed_round = ReadRound{};
    commit_told = Index{};
    const Index next = next_index;
    BecomeProbe();
    next_index = next;
  }

  void BecomeSnapshot() {
    BecomeProbe();
    state = State::kSnapshot;
  }

  void BecomeReplicate() {
    BecomeProbe();
    state = State::kReplicate;
  }

  void Sent(Index last_index, size_t bytes) {
    in_flight.push_back({last_index, bytes});
    in_flight_bytes += bytes;
  }

  // The peer has all up to `match`: what was sent up to there has arrived.
  void Acknowledged(Index match) {
    while (!in_flight.empty() && in_flight.front().last_index <= match) {
      in_flight_bytes -= in_flight.front().bytes;
      in_flight.pop_front();
    }
  }
};

}  // namespace raft
