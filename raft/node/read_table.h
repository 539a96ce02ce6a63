// SPDX-License-Identifier: Apache-2.0
//
// read_table.h: the reads of this node's clients: not yet asked, asked of the leader, or
// confirmed and waiting for apply.
//
// Reads that come together are asked together, under one ReadId. An ask that was lost, or whose
// leader changed, is asked again under a new id until the deadline: a read harms nobody twice.
//
// Threads: the raft thread only.

#pragma once

#include <map>
#include <vector>

#include "base/time.h"
#include "raft/core/effects.h"
#include "raft/node/answer_queue.h"
#include "raft/node/inbox.h"

namespace raft {

class ReadTable {
 public:
  void Add(WaitingRead read) {
    ++size_;
    waiting_.push_back(std::move(read));
  }

  // Reads in the table, in whatever state.
  size_t size() const { return size_; }

  bool has_waiting() const { return !waiting_.empty(); }

  // All that waits is now asked under `id`.
  void Asked(ReadId id, base::TimePoint now);

  // The core's word on an ask: confirmed at an index, or to be asked again.
  void OnGrant(const ReadGrant& grant);

  // Leader or term changed: nothing that was asked before will be answered.
  void AskAllAgain();

  // Asks that have had no answer since before `asked_before` are asked again.
  void AskStaleAgain(base::TimePoint asked_before);

  // Takes the answers of the reads that may be served at `applied`.
  void TakeReady(Index applied, std::vector<AnswerQueue::Answer>* answers);

  // Takes the answers of the reads whose deadline is past.
  void TakeExpired(base::TimePoint now, bool leader_known,
                   std::vector<AnswerQueue::Answer>* answers);

  void TakeAll(ReadOutcome outcome, std::vector<AnswerQueue::Answer>* answers);

 private:
  struct Ask {
    base::TimePoint asked_at;
    std::vector<WaitingRead> reads;
  };
  void WaitAgain(std::vector<WaitingRead> reads);
  void Answer(WaitingRead read, ReadOutcome outcome, std::vector<AnswerQueue::Answer>* answers);
  void ExpireFrom(std::vector<WaitingRead>* reads, base::TimePoint now, ReadOutcome outcome,
                  std::vector<AnswerQueue::Answer>* answers);

  size_t size_ = 0;
  std::vector<WaitingRead> waiting_;
  std::map<ReadId, Ask> asked_;
  std::multimap<Index, std::vector<WaitingRead>> confirmed_;
};

}  // namespace raft
