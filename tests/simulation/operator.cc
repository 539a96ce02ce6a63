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
  world_->After(world_->RandomDelay(settings_.pause_min, settings_.pause_max), [this] {
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
  std::vector<SimNode*> leaders;
  for (const auto& node : *nodes_) {
    if (node->core() == nullptr || node->paused()) continue;
    if (node->core()->role() != raft::Role::kLeader || node->kv()->lost()) continue;
    leaders.push_back(node.get());
  }
  if (leaders.empty()) return nullptr;
  if (settings_.any_leader > 0 && world_->random()->Chance(settings_.any_leader)) {
    return leaders[world_->random()->Below(leaders.size())];
  }
  return *std::max_element(leaders.begin(), leaders.end(), [](SimNode* a, SimNode* b) {
    return a->core()->current_term() < b->core()->current_term();
  });
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
    Ask(task, leader);
    if (tasks_.size() > 1 && world_->random()->Chance(settings_.twice)) Ask(tasks_[1], leader);
  }
}

void Operator::AskNow(SimNode* leader) { Ask(tasks_.front(), leader); }

void Operator::Ask(const Task& task, SimNode* leader) {
  const raft::Core* core = leader->core();
  if (core == nullptr) return;
  if (world_->random()->Chance(settings_.from_log)) {
    Propose(task, core->configuration(), core->configuration_index(), leader);
  } else {
    const store::Membership membership = leader->kv()->membership();
    Propose(task, membership.configuration, membership.index, leader);
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

void Operator::Propose(const Task& task, const raft::Configuration& configuration,
                       raft::Index based_on, SimNode* leader) {
  std::vector<raft::NodeId> voters = configuration.voters();
  std::vector<raft::NodeId> learners = configuration.learners();
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
  leader->ChangeConfiguration(command, based_on, seconds(2), [](raft::PublishOutcome) {});
}

}  // namespace simulation
