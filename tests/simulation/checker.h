// SPDX-License-Identifier: Apache-2.0
//
// checker.h: the promises of Raft, watched from outside over a whole cluster (paper, figure 3).
//
// Told of everything that members do; a broken promise is recorded as a violation and ends the
// run. It believes disks, not acknowledgements.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "raft/core/core.h"

namespace simulation {

// What a member's disk holds for certain: the terms of the entries of its log, synced.
using DurableTerms = std::vector<raft::Term>;  // [i] is the term at index i + 1

class Checker {
 public:
  explicit Checker(size_t voters) : voters_(voters) {}

  // After every step of a member.
  void OnStep(const raft::Core& core, const std::map<raft::NodeId, const DurableTerms*>& disks);

  // Before a message leaves its member.
  void OnSend(const raft::Envelope& envelope);

  // A member's state machine applied an entry that carries the client operation `operation`, 0
  // for an entry of the algorithm's own.
  void OnApply(raft::NodeId node, const raft::Entry& entry, uint64_t operation);

  // A client was told that its operation is applied, dropped, or ends unknown.
  void OnAcknowledged(uint64_t operation);
  void OnDropped(uint64_t operation);

  // The floor below which no read that begins now may be answered.
  raft::Index read_floor() const { return acknowledged_; }
  void OnRead(raft::Index floor, raft::Index read_at);

  // The checks that need the end of the run.
  void Finish();

  // Empty as long as every promise was kept.
  const std::string& violation() const { return violation_; }
  void Fail(const std::string& what);

  uint64_t committed() const { return history_.size(); }
  size_t terms_led() const { return leader_of_.size(); }
  size_t acknowledged_operations() const { return acknowledged_operations_.size(); }
  size_t reads() const { return reads_; }

 private:
  void CheckLeader(const raft::Core& core);
  void CheckCommitted(const raft::Core& core,
                      const std::map<raft::NodeId, const DurableTerms*>& disks);

  const size_t voters_;
  std::string violation_;

  // Election safety: at most one leader a term.
  std::map<raft::Term, raft::NodeId> leader_of_;
  // One vote a term, whatever restarts lie between.
  std::map<std::pair<raft::NodeId, raft::Term>, raft::NodeId> vote_of_;

  // Everything that was ever committed: [i] is the term at index i + 1.
  std::vector<raft::Term> history_;
  // State machine safety: what was applied where, by anyone.
  std::map<raft::Index, std::pair<raft::Term, uint64_t>> applied_;
  std::map<uint64_t, raft::Index> operation_at_;
  // The commit index that was checked last, for each member and life of it.
  std::map<raft::NodeId, raft::Index> checked_commit_;

  std::set<uint64_t> acknowledged_operations_;
  std::set<uint64_t> dropped_operations_;
  raft::Index acknowledged_;
  size_t reads_ = 0;
};

}  // namespace simulation
