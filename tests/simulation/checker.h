// SPDX-License-Identifier: Apache-2.0
//
// checker.h: the promises of Raft, watched from outside over a whole cluster after every event.
//
// Told of everything that members do; a broken promise is recorded as a violation and ends the
// run. It believes disks, not acknowledgements. The invariants, as reference page raft-pitfalls
// numbers them (section 3), and where each is held:
//   1  election safety                       OnStep, CheckLeader
//   2  logs match on what is committed       OnStep, CheckCommitted (term and bytes)
//   3  leader completeness                   CheckLeader, at each first step of a leader
//   4  state machine safety                  OnApply (entries), OnState (hash at each index)
//   5  committed on a quorum of disks        CheckCommitted
//   6  what is committed stays               CheckCommitted; and a leader commits by counting only
//      in its own term (paper 5.4.2)
//   7  monotone: term, vote                  OnSend, OnStart; commit, applied: raft::CheckStep and
//      OnState; revisions of answers: history_checker.h
//   8  base <= applied <= commit <= last     raft::CheckInvariants, in OnStep
//   9  one configuration change at a time    CheckConfigurations; who has no newer one has the
//      newest that is committed as far as it knows   CheckConfigurationInForce
//  10  answered only what is committed and applied    OnAcknowledged
//  11  read floor                            history_checker.h, and OnRead by index
//  12  leases, 14 memory: not here; 13 watches: sim_watchers.h
//  15  no promise before the disk            OnSend, against what is durable; and nothing is
//  applied
//      that this member's own disk does not hold (DESIGN.md, rule 3)   OnApply

#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "raft/core/core.h"

namespace simulation {

// What a member's disk holds of the log for certain.
struct DurableLog {
  // The log begins behind it; what is before is in the state, flushed.
  raft::LogPosition base;
  std::vector<raft::Term> terms;  // [i] is the term at base.index + 1 + i
  // Term and vote, as meta/ has them.
  raft::HardState hard_state;

  raft::Index last_index() const { return base.index + terms.size(); }
  bool Holds(raft::LogPosition position) const {
    if (position.index <= base.index) return true;
    if (position.index > last_index()) return false;
    return terms[position.index - base.index - 1] == position.term;
  }
  // The log begins behind `new_base` now.
  void ReleaseTo(raft::LogPosition new_base) {
    if (new_base.index <= base.index) return;
    const size_t gone = std::min<size_t>(terms.size(), new_base.index - base.index);
    terms.erase(terms.begin(), terms.begin() + static_cast<ptrdiff_t>(gone));
    base = new_base;
  }
  // Cuts behind `index`.
  void CutBehind(raft::Index index) {
    if (index < last_index()) terms.resize(index < base.index ? 0 : index - base.index);
  }
};
using Disks = std::map<raft::NodeId, const DurableLog*>;

class Checker {
 public:
  // A fault takes from a member, whose life was `session`, what its disk held. A leader that has
  // not heard of a later life may still count it; that a quorum remains is the fault atlas's word.
  void OnLost(raft::NodeId node, raft::Session session, const DurableLog& disk) {
    lost_[node] = {session, disk};
  }

  // A member starts with this.
  void OnStart(raft::NodeId node, const raft::HardState& hard_state);

  // After every step of a member.
  void OnStep(const raft::Core& core, const Disks& disks);

  // Before a message leaves its member, whose disk this is.
  void OnSend(const raft::Envelope& envelope, const DurableLog& disk);

  // A member's state machine, above this disk, applied an entry that carries the client operation
  // `operation`, 0 for an entry of the algorithm's own.
  void OnApply(raft::NodeId node, const raft::Entry& entry, uint64_t operation,
               const DurableLog& disk);
  // A member's state stands at `index`; `hash` is of all that is replicated in it.
  void OnState(raft::NodeId node, raft::Index index, uint64_t hash);

  // A client was told that its operation is applied, or that it was dropped.
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
  struct Committed {
    raft::Term term;
    // Of the leader that committed it, perhaps later than the entry's.
    raft::Term committed_in;
    uint32_t checksum = 0;
  };
  void CheckLeader(const raft::Core& core);
  void CheckMatches(const raft::Core& core);
  void CheckConfigurations(const raft::Core& core);
  void CheckConfigurationInForce(const raft::Core& core);
  void CheckCommitted(const raft::Core& core, const Disks& disks);
  void NoteCommitted(const raft::Core& core, raft::Index index, raft::Term term);
  bool Held(const raft::Core& core, const Disks& disks, raft::NodeId node,
            raft::LogPosition position) const;
  void CheckSame(const raft::Core& core, raft::Index index, raft::Term term);

  std::string violation_;

  // At most one leader a term.
  std::map<raft::Term, raft::NodeId> leader_of_;
  // One vote a term, whatever restarts lie between.
  std::map<std::pair<raft::NodeId, raft::Term>, raft::NodeId> vote_of_;
  // The highest term that a member has shown to anyone.
  std::map<raft::NodeId, raft::Term> term_of_;

  // Everything that was ever committed: [i] is at index i + 1.
  std::vector<Committed> history_;
  // The configurations among them.
  std::map<raft::Index, raft::Configuration> configuration_at_;
  // What was applied where, by anyone.
  std::map<raft::Index, std::pair<raft::Term, uint64_t>> applied_;
  std::map<raft::Index, std::pair<uint64_t, raft::NodeId>> state_at_;
  std::map<uint64_t, raft::Index> operation_at_;
  struct Lost {
    raft::Session session;
    DurableLog disk;
  };
  std::map<raft::NodeId, Lost> lost_;
  // What a leader knows a peer to hold never falls within a term and a life of the peer.
  struct Match {
    raft::Term term;
    raft::Session session;
    raft::Index index;
  };
  std::map<std::pair<raft::NodeId, raft::NodeId>, Match> match_of_;
  // The newest configuration entry that a leader of a term was seen with.
  std::map<std::pair<raft::NodeId, raft::Term>, std::pair<raft::Index, raft::Configuration>>
      configuration_of_;
  // The commit index that was checked last, for each member and life of it.
  std::map<raft::NodeId, raft::Index> checked_commit_;

  std::set<uint64_t> acknowledged_operations_;
  std::set<uint64_t> dropped_operations_;
  raft::Index acknowledged_;
  size_t reads_ = 0;
};

}  // namespace simulation
