// SPDX-License-Identifier: Apache-2.0
//
// publish.cc: where the publish path begins: a write gets its term and index, or goes on to the
// leader, or is refused.

#include <map>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

// Too much that is not committed, or not applied, means that the publish path does not keep up;
// to take more would only lengthen every wait.
bool Core::HasRoom() const {
  return uncommitted_bytes_ < options_.uncommitted_bytes_max &&
         commit_index_ - last_applied_ <= options_.apply_gap_max;
}

// Why the leader does not take this publish; nothing if it does.
std::optional<RefusalReason> Core::RefuseProposal(const Proposal& proposal) const {
  // Thesis 3.10: who hands over takes no more.
  if (transfer_) return RefusalReason::kNotLeader;
  if (!HasRoom()) return RefusalReason::kTooMany;
  if (proposal.kind == EntryKind::kConfiguration) return RefuseConfiguration(proposal);
  return std::nullopt;
}

void Core::OnPublish(Publish publish) {
  if (is_leader()) {
    for (Proposal& proposal : publish.proposals) {
      if (const auto reason = RefuseProposal(proposal)) {
        effects_->refused.push_back({proposal.id, *reason});
        continue;
      }
      AppendOwn(proposal.kind, options_.self, proposal.id, std::move(proposal.command));
    }
    SendAppends();
  } else if (leader_ != kNobody) {
    Send(leader_, PublishForward{std::move(publish.proposals)});
  } else {
    for (const Proposal& proposal : publish.proposals) {
      effects_->refused.push_back({proposal.id, RefusalReason::kNoLeader});
    }
  }
}

// A forward is valid for the leader of one term. Within it, each publish is taken at most once,
// however often the network delivers it: ids of one node ascend.
void Core::OnPublishForward(const Envelope& envelope) {
  if (!is_leader()) return RefuseForward(envelope);
  const auto found = progress_.find(envelope.from);
  if (found == progress_.end()) return;
  Progress& progress = found->second;
  std::map<RefusalReason, std::vector<PublishId>> refused;
  for (const Proposal& proposal : std::get<PublishForward>(envelope.message).proposals) {
    if (proposal.id <= progress.last_publish && !base::Planted("forward-taken-twice")) continue;
    progress.last_publish = proposal.id;
    if (const auto reason = RefuseProposal(proposal)) {
      refused[*reason].push_back(proposal.id);
      continue;
    }
    AppendOwn(proposal.kind, envelope.from, proposal.id, proposal.command);
    // The sender may just have removed itself.
    if (progress_.count(envelope.from) == 0) break;
  }
  for (auto& [reason, ids] : refused) Send(envelope.from, PublishRefusal{reason, std::move(ids)});
  SendAppends();
}

// Says that none of these is in a log, but only where that is certain: what this node led in the
// term of the forward, it may have taken from an earlier copy of the message. (Found by the
// simulator: a copy that came late was refused, the first one had been committed.)
void Core::RefuseForward(const Envelope& envelope) {
  if (envelope.term <= last_led_term_ && !base::Planted("late-forward-refused")) return;
  PublishRefusal refusal;
  for (const Proposal& proposal : std::get<PublishForward>(envelope.message).proposals) {
    refusal.ids.push_back(proposal.id);
  }
  Send(envelope.from, std::move(refusal));
}

void Core::OnPublishRefusal(const Envelope& envelope) {
  const auto& refusal = std::get<PublishRefusal>(envelope.message);
  for (PublishId id : refusal.ids) effects_->refused.push_back({id, refusal.reason});
}

// Appends to the leader's own log. Paper 5.3: a leader never overwrites or deletes entries in it.
void Core::AppendOwn(EntryKind kind, NodeId origin, PublishId id, std::string command) {
  CHECK(is_leader());
  auto entry = std::make_shared<Entry>();
  entry->term = current_term();
  entry->index = log_.last().index + 1;
  entry->kind = kind;
  entry->origin = origin;
  entry->publish_id = id;
  entry->command = std::move(command);
  uncommitted_bytes_ += EntryBytes(*entry);
  BeginWrite();
  outstanding_writes_.back().last_index = entry->index;
  effects_->append.push_back(entry);
  log_.Append(entry);
  AdoptConfiguration(*entry);
}

}  // namespace raft
