// SPDX-License-Identifier: Apache-2.0
//
// fault_injector.h: does to a cluster what the list of faults says.

#pragma once

#include <memory>
#include <set>
#include <vector>

#include "tests/simulation/faults.h"
#include "tests/simulation/network.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace simulation {

class FaultInjector {
 public:
  FaultInjector(World* world, Timeline* timeline, Network* network, Operator* cluster_operator,
                const std::vector<std::unique_ptr<SimNode>>* nodes)
      : world_(world),
        timeline_(timeline),
        network_(network),
        operator_(cluster_operator),
        nodes_(nodes) {}

  // Plans each at its time.
  void Plan(const std::vector<Fault>& faults);
  void OnNewLeader(SimNode* node);
  // Its process ended: the others' connections to it break.
  void OnKilled(SimNode* node);
  // A member is about to write a term or a vote.
  void OnPromise(SimNode* node);
  // Nothing goes wrong from now on.
  void Stop() { stopped_ = true; }

 private:
  void Do(const Fault& fault);
  void DoToNode(const Fault& fault, SimNode* node);
  void DoToLinks(const Fault& fault, base::Random* random);
  void StartAfter(base::Duration delay, SimNode* node);
  void ChangeMembers(const Fault& fault, SimNode* node);
  void ChangeInVain(const Fault& fault, SimNode* leader);
  void RotAndFall(const Fault& fault, SimNode* leader);
  void LateThenMute(const Fault& fault, size_t host, int steps_taken);
  void BreakConnections(SimNode* to);
  void RotLog(const Fault& fault, SimNode* node);
  void Flap(const Fault& fault, size_t host, int times_left);
  std::vector<Network::Link> LinksOf(size_t host, bool in, bool out) const;
  // Between these hosts and all others.
  std::vector<Network::Link> LinksAround(const std::set<size_t>& some) const;
  std::vector<Network::Link> Bridge(base::Random* random) const;
  std::vector<Network::Link> MajorityRing() const;
  // The fault atlas: whether a quorum of whole copies of all that is committed stays if this
  // member's is damaged.
  bool MayDamage(const SimNode* node) const;
  SimNode* Target(const Fault& fault) const;
  size_t HostOf(const SimNode* node) const;
  size_t hosts() const { return nodes_->size(); }

  World* const world_;
  Timeline* const timeline_;
  Network* const network_;
  Operator* const operator_;
  const std::vector<std::unique_ptr<SimNode>>* const nodes_;
  bool stopped_ = false;
  base::TimePoint leaders_fall_until_ = base::TimePoint::min();
  base::TimePoint promises_fall_until_ = base::TimePoint::min();
};

}  // namespace simulation
