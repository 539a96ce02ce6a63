// SPDX-License-Identifier: Apache-2.0
//
// membership.cc: changes of the configuration: one at a time, in force when appended (thesis 4).

#include <algorithm>
#include <sstream>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {
namespace {

// A learner may be promoted once it has this part of the leader's log, in tenths: else a quorum
// that counts it would wait for it.
constexpr uint64_t kReadyTenths = 9;

}  // namespace

// Who may vote may stand, unless it has forgotten part of its log or has no state to lead with. So
// may one whose removal is not known to be committed: perhaps nobody else's log is as long, and
// without it nobody could be elected (thesis 4.2.2).
bool Core::MayStand() const {
  const bool leaving = configuration_index() > commit_index_ && configurations_.size() > 1 &&
                       configurations_[configurations_.size() - 2].second.IsVoter(options_.self);
  return (configuration().IsVoter(options_.self) || leaving) && !hard_state_.doubtful &&
         !state_lost_ && !installing_;
}

// Why this change may not be appended now; nothing if it may. Each configuration differs from the
// one before it by one voter, that one is committed, and so is an entry of this leader's term
// (Ongaro, raft-dev 2015: without the latter two leaders can change to disjoint quorums).
std::optional<RefusalReason> Core::RefuseConfiguration(const Proposal& proposal) const {
  if ((!CommittedInOwnTerm() && !base::Planted("change-before-own-term")) ||
      (configuration_index() > last_applied_ && !base::Planted("two-changes-at-once")) ||
      configuration_index() != proposal.based_on) {
    return RefusalReason::kConfigurationChanged;
  }
  const auto next = DecodeConfigurationCommand(proposal.command);
  if (!next || !configuration().MayBecome(next->configuration)) {
    return RefusalReason::kBadConfiguration;
  }
  for (NodeId voter : next->configuration.voters()) {
    if (!configuration().IsLearner(voter)) continue;
    const Progress& learner = progress_.at(voter);
    const bool heard = learner.last_heard > now_ - options_.election_timeout;
    const uint64_t last = log_.last().index.value();
    if (!heard || learner.match_index.value() * 10 < last * kReadyTenths) {
      return RefusalReason::kLearnerNotReady;
    }
  }
  return std::nullopt;
}

// Thesis 4.1: a server always uses the latest configuration in its log, regardless of whether the
// entry is committed.
void Core::AdoptConfiguration(const Entry& entry) {
  if (entry.kind != EntryKind::kConfiguration) return;
  const auto command = DecodeConfigurationCommand(entry.command);
  CHECK(command.has_value()) << "entry " << entry.position() << " holds no configuration";
  configurations_.push_back({entry.index, command->configuration});
  std::ostringstream line;
  line << "has the configuration of entry " << entry.index << ":";
  for (NodeId node : configuration().voters()) line << " n" << node;
  for (NodeId node : configuration().learners()) line << " n" << node << "(learner)";
  Trace(line.str());
  if (is_leader()) ShapeProgress();
}

// The log is cut from `first` on: what it changed is as it was before.
void Core::CutConfigurations(Index first) {
  if (base::Planted("cut-configuration-kept")) return;
  while (configurations_.size() > 1 && configurations_.back().first >= first) {
    configurations_.pop_back();
  }
}

// Leader: a Progress for every other member, and for nobody else.
void Core::ShapeProgress() {
  std::erase_if(progress_,
                [this](const auto& item) { return !configuration().IsMember(item.first); });
  for (NodeId member : configuration().members()) {
    if (member == options_.self || progress_.count(member) > 0) continue;
    Progress& progress = progress_[member];
    // Paper, figure 2: nextIndex is initialised to the leader's last log index + 1.
    progress.next_index = log_.last().index + 1;
    progress.last_heard = now_;
    progress.last_advance = now_;
  }
}

// Thesis 4.2.2: a leader that is not in the new configuration leads until that is committed, and
// does not count itself; then it hands over.
void Core::LeaveIfRemoved() {
  if (!is_leader() || configuration().IsVoter(options_.self)) return;
  if (base::Planted("removed-leader-stays")) return;
  if (configuration_index() > commit_index_) return;
  const NodeId successor = BestSuccessor(true);
  if (successor != kNobody) Send(successor, TimeoutNow{});
  Trace("was removed and leads no more");
  BecomeFollower(current_term(), kNobody);
}

}  // namespace raft
