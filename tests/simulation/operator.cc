// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/operator.h"

#include <algorithm>
#include <cstdio>

#include "raft/core/configuration.h"

namespace simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string UuidText(uint64_t uuid) {
  char text[17];
  std::snprintf(text, sizeof text, "%016lu", uuid);
  return text;
}

datum::membership::Member MemberOn(size_t host, raft::NodeId id, bool is_learner) {
  datum::membership::Member member;
  member.set_id(id.value());
  member.set_name("host" + std::to_string(host));
  member.add_peer_urls("http://host" + std::to_string(host));
  member.set_is_learner(is_learner);
  member.set_data_dir_uuid(UuidText(SimNode::UuidOf(host, id)));
  return member;
}

void Operator::Start() { PlanTurn(); }

void Operator::PlanTurn() {
  world_->After(world_->RandomDelay(milliseconds(50), milliseconds(300)), [this] {
    if (stopped_) return;
    Turn();
    PlanTurn();
  });
}

void Operator::Push(Goal goal, size_t host, raft::NodeId id) {
  tasks_.push_back({goal, host, id, world_->now() + seconds(20)});
}

void Operator::Add(size_t host) {
  const raft::NodeId id = NewId();
  Push(Goal::kIn, host, id);
  Push(Goal::kVotes, host, id);
}

void Operator::Remove(raft::NodeId id) { Push(Goal::kOut, 0, id); }

void Operator::Replace(size_t host, raft::NodeId old_id) {
  Remove(old_id);
  Add(host);
}

SimNode* Operator::Leader() const {
  SimNode* leader = nullptr;
  for (const auto& node : *nodes_) {
    if (node->core() == nullptr || node->paused()) continue;
    if (node->core()->role() != raft::Role::kLeader || node->kv()->lost()) continue;
    if (leader == nullptr || node->core()->current_term() > leader->core()->current_term()) {
      leader = node.get();
    }
  }
  return leader;
}

void Operator::Turn() {
  while (!tasks_.empty() && tasks_.front().give_up_at < world_->now()) tasks_.pop_front();
  SimNode* leader = Leader();
  if (tasks_.empty() || leader == nullptr) return;
  const store::Membership membership = leader->kv()->membership();
  if (membership.index == raft::Index{}) return;
  const Task task = tasks_.front();
  if (Done(task, membership)) {
    tasks_.pop_front();
  } else {
    Propose(task, membership, leader);
  }
}

bool Operator::Done(const Task& task, const store::Membership& membership) {
  const raft::Configuration& configuration = membership.configuration;
  switch (task.goal) {
    case Goal::kIn: {
      SimNode* node = (*nodes_)[task.host - 1].get();
      if (configuration.IsMember(task.id)) {
        if (!node->inhabited()) node->MoveIn(task.id, false);
        return true;
      }
      return node->inhabited() || membership.removed.count(task.id.value()) > 0;
    }
    case Goal::kVotes:
      return !configuration.IsLearner(task.id);
    case Goal::kOut:
      return !configuration.IsMember(task.id) ||
             configuration.voters() == std::vector<raft::NodeId>{task.id};
  }
  return true;
}

void Operator::Propose(const Task& task, const store::Membership& membership, SimNode* leader) {
  std::vector<raft::NodeId> voters = membership.configuration.voters();
  std::vector<raft::NodeId> learners = membership.configuration.learners();
  datum::membership::MembershipChange change;
  switch (task.goal) {
    case Goal::kIn:
      learners.push_back(task.id);
      *change.mutable_add() = MemberOn(task.host, task.id, true);
      break;
    case Goal::kVotes:
      std::erase(learners, task.id);
      voters.push_back(task.id);
      change.set_promote(task.id.value());
      break;
    case Goal::kOut:
      std::erase(learners, task.id);
      std::erase(voters, task.id);
      change.set_remove(task.id.value());
      break;
  }
  const std::string command = raft::EncodeConfigurationCommand(
      raft::Configuration(voters, learners), change.SerializeAsString());
  // What came of it is seen in the members.
  leader->ChangeConfiguration(command, membership.index, seconds(2), [](raft::PublishOutcome) {});
}

}  // namespace simulation
