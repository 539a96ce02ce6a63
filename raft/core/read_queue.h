// SPDX-License-Identifier: Apache-2.0
//
// read_queue.h: the reads that wait at a leader for a confirmation of its leadership.
//
// Thesis 6.4: the leader notes its commit index, makes sure that it is still leader by a round
// of heartbeats, and only then lets the read be served at that index. Reads that come while a
// round is under way wait for the next one and share it. A round's id is never used again
// (etcd-io/raft#397: a late answer to an old round once confirmed a new one).

#pragma once

#include <vector>

#include "raft/core/message.h"
#include "raft/core/types.h"

namespace raft {

class ReadQueue {
 public:
  // Who asked, and by what name.
  struct Read {
    NodeId from;
    ReadId id;
  };

  void Add(Read read) { waiting_.push_back(read); }

  bool has_waiting() const { return !waiting_.empty(); }
  bool in_flight() const { return !in_flight_.empty(); }
  // The round under way, or the last one.
  ReadRound round() const { return round_; }
  Index read_index() const { return read_index_; }

  // All that waits goes on a new round, confirmed at `commit_index`. Requires: !in_flight().
  void StartRound(Index commit_index) {
    in_flight_.swap(waiting_);
    ++round_;
    read_index_ = commit_index;
  }

  // The round is confirmed: its reads.
  std::vector<Read> FinishRound() {
    std::vector<Read> reads;
    reads.swap(in_flight_);
    return reads;
  }

  // Leadership is lost: every read, none of them confirmed. Rounds start again at one, in a
  // term of their own.
  std::vector<Read> Abandon() {
    std::vector<Read> reads = FinishRound();
    reads.insert(reads.end(), waiting_.begin(), waiting_.end());
    *this = ReadQueue();
    return reads;
  }

 private:
  std::vector<Read> waiting_;
  std::vector<Read> in_flight_;
  ReadRound round_;
  Index read_index_;
};

}  // namespace raft
