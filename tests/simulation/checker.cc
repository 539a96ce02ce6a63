// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/checker.h"

#include <algorithm>
#include <sstream>
#include <variant>

#include "base/crc32c.h"

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

void Checker::OnStart(NodeId node, const raft::HardState& hard_state) {
  const Term shown = term_of_[node];
  if (hard_state.current_term < shown) {
    Fail(Text("a term never falls: n", node, " starts in term ", hard_state.current_term,
              " and has shown term ", shown));
  }
  checked_commit_[node] = Index{};
}

void Checker::OnStep(const raft::Core& core, const Disks& disks) {
  raft::CheckInvariants(core);
  if (core.role() == raft::Role::kLeader) {
    CheckLeader(core);
    CheckMatches(core);
    CheckConfigurations(core);
  }
  CheckCommitted(core, disks);
  CheckConfigurationInForce(core);
}

void Checker::CheckLeader(const raft::Core& core) {
  const auto [known, is_new] = leader_of_.emplace(core.current_term(), core.self());
  if (known->second != core.self()) {
    Fail(Text("election safety: n", known->second, " and n", core.self(), " lead in term ",
              core.current_term()));
  }
  if (!is_new) return;
  // Leader completeness: what is committed is in the log of every leader of a later term.
  for (size_t i = core.log().base().index.value(); i < history_.size(); ++i) {
    const Index index(i + 1);
    if (history_[i].committed_in < core.current_term() &&
        core.log().TermAt(index) != history_[i].term) {
      Fail(Text("leader completeness: n", core.self(), " leads in term ", core.current_term(),
                " without the committed entry ", history_[i].term, "/", index));
      return;
    }
  }
}

void Checker::CheckMatches(const raft::Core& core) {
  for (const auto& [peer, progress] : core.progress()) {
    Match& known = match_of_[{core.self(), peer}];
    if (known.term == core.current_term() && known.session == progress.session &&
        progress.match_index < known.index) {
      Fail(Text("a match index never falls: n", core.self(), " knew that n", peer, " holds ",
                known.index, ", now ", progress.match_index));
    }
    known = {core.current_term(), progress.session, progress.match_index};
  }
}

// One change at a time, each a step from one that is committed, made by a leader that has
// committed in its own term; and who was removed leads no more.
void Checker::CheckConfigurations(const raft::Core& core) {
  const Index index = core.configuration_index();
  const auto [known, is_new] = configuration_of_.emplace(
      std::pair(core.self(), core.current_term()), std::pair(index, core.configuration()));
  auto& [old_index, old_configuration] = known->second;
  if (!is_new && index > old_index) {
    if (!old_configuration.MayBecome(core.configuration())) {
      Fail(Text("one change at a time: n", core.self(), " makes more than one step at ", index));
    }
    if (old_index > core.commit_index()) {
      Fail(Text("one change at a time: n", core.self(), " changes at ", index,
                " though the change at ", old_index, " is not committed"));
    }
    if (core.log().TermAt(core.commit_index()) != core.current_term()) {
      Fail(Text("n", core.self(), " changes the members at ", index,
                " before it has committed in its term"));
    }
  }
  old_index = index;
  old_configuration = core.configuration();
  if (!core.configuration().IsVoter(core.self()) && index <= core.commit_index()) {
    Fail(Text("n", core.self(), " leads in term ", core.current_term(),
              " though it was removed at ", index));
  }
}

// The same entry, to the byte, as whoever committed the index first.
void Checker::CheckSame(const raft::Core& core, Index index, Term term) {
  const Committed& committed = history_[index.value() - 1];
  if (committed.term != term) {
    return Fail(Text("committed is for ever: n", core.self(), " commits ", term, "/", index,
                     ", but ", committed.term, "/", index, " was committed before"));
  }
  if (!core.log().InMemory(index)) return;
  if (base::Crc32c(core.log().At(index)->command) != committed.checksum) {
    Fail(Text("log matching: n", core.self(), " commits another command at ", term, "/", index));
  }
}

void Checker::NoteCommitted(const raft::Core& core, Index index, Term term) {
  if (!core.log().InMemory(index)) return history_.push_back({term, core.current_term(), 0});
  const raft::EntryRef& entry = core.log().At(index);
  history_.push_back({term, core.current_term(), base::Crc32c(entry->command)});
  if (entry->kind != raft::EntryKind::kConfiguration) return;
  const auto command = raft::DecodeConfigurationCommand(entry->command);
  if (!command) return Fail(Text("entry ", index, " holds no configuration"));
  configuration_at_[index] = command->configuration;
}

// Whether it came by the log or in a state, was cut from the log again or was read at the start.
void Checker::CheckConfigurationInForce(const raft::Core& core) {
  // Without its state it knows only those that its log holds; it neither stands nor leads.
  if (core.state_lost() || core.configuration_index() > core.commit_index()) return;
  auto newest = configuration_at_.upper_bound(core.commit_index());
  if (newest == configuration_at_.begin()) return;
  --newest;
  if (core.configuration_index() == newest->first && core.configuration() == newest->second) return;
  Fail(Text("configuration in force: n", core.self(), " goes by that of entry ",
            core.configuration_index(), " though it knows that ", newest->first,
            ", another one, is committed"));
}

bool Checker::Held(const raft::Core& core, const Disks& disks, NodeId node,
                   raft::LogPosition position) const {
  const auto disk = disks.find(node);
  if (disk != disks.end() && disk->second->Holds(position)) return true;
  const auto lost = lost_.find(node);
  if (lost == lost_.end() || !lost->second.disk.Holds(position)) return false;
  const auto progress = core.progress().find(node);
  return progress != core.progress().end() && progress->second.session <= lost->second.session;
}

void Checker::CheckCommitted(const raft::Core& core, const Disks& disks) {
  Index& checked = checked_commit_[core.self()];
  // A member that was started anew begins again at what its state machine holds.
  if (core.commit_index() < checked) checked = core.commit_index();
  checked = std::max(checked, core.log().base().index);
  const bool moves = checked < core.commit_index();
  if (moves && core.role() == raft::Role::kLeader &&
      core.log().TermAt(core.commit_index()) != core.current_term()) {
    Fail(Text("own term: n", core.self(), " leads in term ", core.current_term(), " and commits ",
              *core.log().TermAt(core.commit_index()), "/", core.commit_index(), " by counting"));
  }
  for (; checked < core.commit_index(); ++checked) {
    const Index index = checked + 1;
    const Term term = *core.log().TermAt(index);
    if (index.value() <= history_.size()) {
      CheckSame(core, index, term);
      continue;
    }
    if (index.value() != history_.size() + 1) {
      return Fail(Text("n", core.self(), " commits ", term, "/", index, ", and nobody what is ",
                       "before it"));
    }
    NoteCommitted(core, index, term);
    const bool on_quorum = core.configuration().IsQuorum([&](NodeId node) {
      return Held(core, disks, node, {term, index});
    });
    if (!on_quorum) {
      Fail(Text("committed on a quorum: n", core.self(), " commits ", term, "/", index,
                ", which a quorum of the disks does not hold"));
    }
  }
}

void Checker::OnSend(const raft::Envelope& envelope, const DurableLog& disk) {
  NodeId voter = envelope.from;
  NodeId candidate;
  Term& shown = term_of_[envelope.from];
  shown = std::max(shown, std::min(envelope.term, disk.hard_state.current_term));
  if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&envelope.message)) {
    if (reply->success && reply->match_index > disk.last_index()) {
      Fail(Text("no promise before the disk: n", voter, " acknowledges up to ", reply->match_index,
                ", its disk holds ", disk.last_index()));
    }
    return;
  }
  if (const auto* reply = std::get_if<raft::RequestVoteReply>(&envelope.message)) {
    if (reply->pre_vote || !reply->granted) return;
    candidate = envelope.to;
  } else if (const auto* request = std::get_if<raft::RequestVote>(&envelope.message)) {
    if (request->pre_vote) return;
    candidate = envelope.from;
  } else {
    return;
  }
  if (disk.hard_state.current_term < envelope.term) {
    Fail(Text("no promise before the disk: n", voter, " votes in term ", envelope.term,
              ", its disk holds term ", disk.hard_state.current_term));
  }
  const auto [known, is_new] = vote_of_.emplace(std::pair(voter, envelope.term), candidate);
  if (!is_new && known->second != candidate) {
    Fail(Text("one vote a term: n", voter, " votes for n", known->second, " and for n", candidate,
              " in term ", envelope.term));
  }
}

void Checker::OnApply(NodeId node, const raft::Entry& entry, uint64_t operation,
                      const DurableLog& disk) {
  if (!disk.Holds(entry.position())) {
    Fail(Text("applied is durable: n", node, " applies ", entry.position(),
              ", which its own disk does not hold"));
  }
  const auto [known, is_new] = applied_.emplace(entry.index, std::pair(entry.term, operation));
  if (known->second != std::pair(entry.term, operation)) {
    Fail(Text("state machine safety: n", node, " applies ", entry.position(), " operation ",
              operation, ", another applied ", known->second.first, " operation ",
              known->second.second));
  }
  if (entry.index.value() > history_.size()) {
    Fail(Text("n", node, " applies ", entry.position(), ", which is not committed"));
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

void Checker::OnState(NodeId node, Index index, uint64_t hash) {
  const auto [known, is_new] = state_at_.emplace(index, std::pair(hash, node));
  if (known->second.first != hash) {
    Fail(Text("states are equal: n", node, " and n", known->second.second, " differ at ", index));
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
