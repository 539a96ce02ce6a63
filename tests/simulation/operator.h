// SPDX-License-Identifier: Apache-2.0
//
// operator.h: who changes the cluster's members: adds them as learners, promotes, removes, and
// brings a member back whose directory was wiped, under a new id.
//
// It does what the server does of it: computes the next configuration from what the leader has
// applied, and proposes it on condition that nothing has changed since. In some runs it is
// careless: it goes by what is not committed yet, asks who leads no more, and asks for two changes
// at once.

#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proto/membership_change.pb.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/world.h"

namespace simulation {

// The text that stands for a data directory's uuid.
std::string UuidText(uint64_t uuid);
datum::membership::Member MemberOn(size_t host, raft::NodeId id, bool is_learner);

struct OperatorSettings {
  base::Duration pause_min = std::chrono::milliseconds(50);
  base::Duration pause_max = std::chrono::milliseconds(300);
  // The chances that a change is computed from the newest configuration in the leader's log,
  // applied or not; is asked of any who believes that it leads; comes with the one that is to
  // follow it, computed from the same base.
  double from_log = 0;
  double any_leader = 0;
  double twice = 0;
};

class Operator {
 public:
  Operator(const OperatorSettings& settings, World* world, Timeline* timeline,
           const std::vector<std::unique_ptr<SimNode>>* nodes)
      : settings_(settings), world_(world), timeline_(timeline), nodes_(nodes) {}

  void Start();
  // Begins nothing new.
  void Stop() { stopped_ = true; }

  // A new member on this empty host, a voter in the end.
  void Add(size_t host);
  void Remove(raft::NodeId id);
  // The host was wiped of this member: it leaves, and a new one comes in its place.
  void Replace(size_t host, raft::NodeId old_id);

  // Asks this leader, and no other, for what is to be done first. Requires: busy().
  void AskNow(SimNode* leader);

  bool busy() const { return !tasks_.empty(); }

 private:
  enum class Goal { kIn, kVotes, kOut };
  struct Task {
    Goal goal;
    size_t host = 0;
    raft::NodeId id;
    base::TimePoint give_up_at;
  };

  void Push(Goal goal, size_t host, raft::NodeId id);
  void PlanTurn();
  void Turn();
  SimNode* Leader() const;
  void Ask(const Task& task, SimNode* leader);
  // Whether the members are as the task wants them, or never will be.
  bool Done(const Task& task, const store::Membership& membership);
  // A change of `configuration`, which stands at `based_on`.
  void Propose(const Task& task, const raft::Configuration& configuration, raft::Index based_on,
               SimNode* leader);
  raft::NodeId NewId() { return raft::NodeId(++last_id_); }

  const OperatorSettings settings_;
  World* const world_;
  Timeline* const timeline_;
  const std::vector<std::unique_ptr<SimNode>>* const nodes_;
  std::deque<Task> tasks_;
  bool stopped_ = false;
  uint64_t last_id_ = 100;
};

}  // namespace simulation
