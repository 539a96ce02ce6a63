// SPDX-License-Identifier: Apache-2.0
//
// sim_machine.h: the production state machine as the simulator runs it: watched, flushed and
// compacted at any pace.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "raft/node/ports.h"
#include "store/kv_machine.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/sim_watchers.h"

namespace simulation {

// The number of the client's operation, which stands in every command; 0 if there is none.
uint64_t OperationOf(const raft::Entry& entry);

// A state that silently is not what the log says: the fault that digests are there for.
struct Stray {
  // The next put has another outcome.
  bool wanted = false;
  // The entry from which on the state differs; 0 if it does not.
  raft::Index since;
};

class SimMachine final : public raft::StateMachine {
 public:
  // `random` decides on the pace of background work only.
  SimMachine(raft::NodeId node, std::unique_ptr<store::KvMachine> machine, base::Random* random,
             Checker* checker, const DurableLog* disk, Stray* stray, SimWatchers* watchers)
      : node_(node),
        machine_(std::move(machine)),
        random_(random),
        checker_(checker),
        disk_(disk),
        stray_(stray),
        station_(watchers, machine_.get()) {}

  void Apply(std::span<const raft::ApplyItem> items,
             std::vector<raft::ApplyResult>* results) override;
  raft::LogPosition applied() const override { return machine_->applied(); }
  raft::StateDigest digest() const override { return machine_->digest(); }
  bool lost() const override { return machine_->lost(); }
  void DeclareLost(const absl::Status& why) const override { machine_->DeclareLost(why); }
  absl::StatusOr<raft::InstalledState> Install(uint64_t staged) override;

  // A little of what the background thread does. The index up to which it flushed, if it did.
  std::optional<raft::Index> DoBackgroundWork(base::TimePoint now);
  void set_flush_chance(double chance) { flush_chance_ = chance; }

  // Who is who, as applied.
  struct Identities {
    std::map<uint64_t, uint64_t> uuid_of;
    std::set<uint64_t> removed;
  };
  const Identities& identities();

  // Its state is not what the log says: nobody watches it.
  void DistrustForWatchers() { station_.Distrust(); }

  store::KvMachine* kv() { return machine_.get(); }

 private:
  // What is applied instead, while the state is to go astray.
  std::vector<raft::ApplyItem> Turned(std::span<const raft::ApplyItem> items);
  void TellState();

  const raft::NodeId node_;
  const std::unique_ptr<store::KvMachine> machine_;
  base::Random* const random_;
  Checker* const checker_;
  const DurableLog* const disk_;
  Stray* const stray_;
  SimWatchers::Station station_;
  double flush_chance_ = 0.02;
  Identities identities_;
  bool identities_known_ = false;
};

}  // namespace simulation
