// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/checker.h"

#include <algorithm>
#include <sstream>
#include <variant>

namespace simulation {
namespace {

using raft::Index;
using raft::NodeId;
using raft::Term;

template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace

void Checker::Fail(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

void Checker::OnStep(const raft::Core& core, const std::map<NodeId, const DurableTerms*>& disks) {
  raft::CheckInvariants(core);
  if (core.role() == raft::Role::kLeader) CheckLeader(core);
  CheckCommitted(core, disks);
}

void Checker::CheckLeader(const raft::Core& core) {
  const auto [known, is_new] = leader_of_.emplace(core.current_term(), core.self());
  if (known->second != core.self()) {
    Fail(Text("election safety: n", known->second, " and n", core.self(), " lead in term ",
              core.current_term()));
  }
  if (!is_new) return;
  // Leader completeness: what is committed is in the log of every later leader.
  for (size_t i = 0; i < history_.size(); ++i) {
    const Index index(i + 1);
    if (history_[i] < core.current_term() && core.log().TermAt(index) != history_[i]) {
      Fail(Text("leader completeness: n", core.self(), " leads in term ", core.current_term(),
                " without the committed entry ", history_[i], "/", index));
      return;
    }
  }
}

void Checker::CheckCommitted(const raft::Core& core,
                             const std::map<NodeId, const DurableTerms*>& disks) {
  Index& checked = checked_commit_[core.self()];
  // A restarted member begins again at what its state machine holds.
  if (core.commit_index() < checked) checked = core.commit_index();
  for (; checked < core.commit_index(); ++checked) {
    const Index index = checked + 1;
    const Term term = *core.log().TermAt(index);
    if (index.value() <= history_.size()) {
      if (history_[index.value() - 1] != term) {
        Fail(Text("committed is for ever: n", core.self(), " commits ", term, "/", index, ", but ",
                  history_[index.value() - 1], "/", index, " was committed before"));
      }
      continue;
    }
    history_.push_back(term);
    size_t holders = 0;
    for (const auto& [node, terms] : disks) {
      if (terms->size() >= index.value() && (*terms)[index.value() - 1] == term) ++holders;
    }
    if (holders < voters_ / 2 + 1) {
      Fail(Text("committed on a quorum: n", core.self(), " commits ", term, "/", index,
                ", which is on ", holders, " disks of ", voters_));
    }
  }
}

void Checker::OnSend(const raft::Envelope& envelope) {
  NodeId voter = envelope.from;
  NodeId candidate;
  if (const auto* reply = std::get_if<raft::RequestVoteReply>(&envelope.message)) {
    if (reply->pre_vote || !reply->granted) return;
    candidate = envelope.to;
  } else if (const auto* request = std::get_if<raft::RequestVote>(&envelope.message)) {
    if (request->pre_vote) return;
    candidate = envelope.from;
  } else {
    return;
  }
  const auto [known, is_new] = vote_of_.emplace(std::pair(voter, envelope.term), candidate);
  if (!is_new && known->second != candidate) {
    Fail(Text("one vote a term: n", voter, " votes for n", known->second, " and for n", candidate,
              " in term ", envelope.term));
  }
}

void Checker::OnApply(NodeId node, const raft::Entry& entry, uint64_t operation) {
  const auto [known, is_new] = applied_.emplace(entry.index, std::pair(entry.term, operation));
  if (known->second != std::pair(entry.term, operation)) {
    Fail(Text("state machine safety: n", node, " applies ", entry.position(), " operation ",
              operation, ", another applied ", known->second.first, " operation ",
              known->second.second));
  }
  if (operation == 0) return;
  const auto [where, first_time] = operation_at_.emplace(operation, entry.index);
  if (!first_time && where->second != entry.index) {
    Fail(Text("at most once: operation ", operation, " is applied at ", where->second, " and at ",
              entry.index));
  }
  if (dropped_operations_.count(operation) > 0) {
    Fail(Text("dropped is dropped: operation ", operation, " is applied after all"));
  }
}

void Checker::OnAcknowledged(uint64_t operation) {
  auto found = operation_at_.find(operation);
  if (found == operation_at_.end()) {
    return Fail(Text("operation ", operation, " is acknowledged and nowhere applied"));
  }
  if (found->second.value() > history_.size()) {
    Fail(Text("operation ", operation, " is acknowledged and not committed"));
  }
  acknowledged_operations_.insert(operation);
  acknowledged_ = std::max(acknowledged_, found->second);
}

void Checker::OnDropped(uint64_t operation) {
  dropped_operations_.insert(operation);
  if (operation_at_.count(operation) > 0) {
    Fail(Text("dropped is dropped: operation ", operation, " was applied"));
  }
}

void Checker::OnRead(Index floor, Index read_at) {
  ++reads_;
  if (read_at < floor) {
    Fail(Text("linearizable reads: a read is served at ", read_at, " though ", floor,
              " was acknowledged before it began"));
  }
}

void Checker::Finish() {
  for (uint64_t operation : acknowledged_operations_) {
    const Index at = operation_at_.at(operation);
    if (applied_.at(at).second != operation) {
      return Fail(Text("operation ", operation, " was acknowledged and is lost"));
    }
  }
}

}  // namespace simulation
