// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/simulation.h"

#include <memory>
#include <sstream>
#include <utility>

#include "base/end_process.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/fault_injector.h"
#include "tests/simulation/history_checker.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_node.h"

namespace simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr base::Duration kElectionTimeout = seconds(1);
// Faults end and healing begins this long before the end.
constexpr base::Duration kHealing = 10 * kElectionTimeout;
// Nobody asks any more: the last writes settle, so that members can be compared.
constexpr base::Duration kQuiet = seconds(2);

// How many members a cluster of this seed has: mostly 3 and 5.
size_t MembersOf(uint64_t seed) {
  constexpr size_t kMembers[] = {3, 5, 3, 4, 5, 3, 7, 3, 5, 2, 3, 5, 3, 5, 3, 6, 5, 3, 5, 1};
  return kMembers[seed % std::size(kMembers)];
}

NetworkSettings DrawNetwork(base::Random* random) {
  NetworkSettings settings;
  settings.loss = random->Chance(0.3) ? 0 : static_cast<double>(random->Below(15)) / 100;
  settings.duplication = random->Chance(0.5) ? 0 : 0.05;
  settings.replay = random->Chance(0.5) ? 0 : 0.01;
  settings.bit_flip = random->Chance(0.7) ? 0 : 0.002;
  settings.slow_max = random->Chance(0.3) ? milliseconds(400) : milliseconds(8);
  // So far apart that elections meet.
  if (random->Chance(0.15)) settings.delay_max = milliseconds(random->Between(50, 300));
  return settings;
}

SimNode::Settings DrawNode(base::Random* random, size_t voters) {
  SimNode::Settings settings;
  settings.voters = voters;
  settings.sync_max = random->Chance(0.2) ? milliseconds(60) : milliseconds(3);
  settings.segment_bytes = random->Chance(0.5) ? 8 << 10 : 64 << 10;
  settings.log_cache_bytes_max = random->Chance(0.5) ? 2 << 10 : 64 << 10;
  // One entry a message, few under way: what lies between two entries is seen on the network.
  if (random->Chance(0.5)) settings.append_bytes_max = 1;
  if (random->Chance(0.5)) settings.in_flight_messages_max = random->Between(1, 4);
  if (random->Chance(0.4)) settings.slow_turns = 0.02;
  return settings;
}

class Simulation {
 public:
  explicit Simulation(const RunOptions& options);
  RunResult Run();

 private:
  void BuildNodes(size_t members);
  void Deliver(size_t host, const std::string& bytes, bool flipped);
  void RunUntil(base::TimePoint time);
  void Heal();
  void ProbeUntilServed();
  void CheckLiveness();
  void CheckClients();
  bool Failed() const { return !checker_.violation().empty(); }

  const RunOptions options_;
  World world_;
  Timeline timeline_;
  Checker checker_;
  base::TimePoint begin_;
  base::TimePoint end_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<FaultInjector> faults_;
  std::unique_ptr<Clients> clients_;
  bool served_after_healing_ = false;
};

Simulation::Simulation(const RunOptions& options)
    : options_(options), world_(options.seed), timeline_(&world_, options.timeline) {
  begin_ = world_.now();
  end_ = begin_ + options.length;
  const size_t members = MembersOf(options.seed);
  base::Random* random = world_.random();
  network_ = std::make_unique<Network>(
      &world_, &timeline_, members, DrawNetwork(random),
      [this](size_t to, const std::string& bytes, bool flipped) { Deliver(to, bytes, flipped); });
  BuildNodes(members);
  faults_ = std::make_unique<FaultInjector>(&world_, &timeline_, network_.get(), &nodes_);
  clients_ = std::make_unique<Clients>(ClientSettings(), &world_, &checker_, &nodes_);
}

void Simulation::BuildNodes(size_t members) {
  base::Random* random = world_.random();
  const SimNode::Settings common = DrawNode(random, members);
  const bool clocks_drift = random->Chance(0.5);
  SimNode::Surroundings around{&world_,
                               &checker_,
                               &timeline_,
                               [this](raft::NodeId from, raft::NodeId to, std::string bytes) {
                                 network_->Send(from.value(), to.value(), std::move(bytes));
                               },
                               [this] {
                                 Disks disks;
                                 for (const auto& node : nodes_) disks[node->id()] = &node->disk();
                                 return disks;
                               },
                               [this](SimNode* node) { faults_->OnNewLeader(node); },
                               [this](SimNode* node) { faults_->OnPromise(node); }};
  for (uint64_t id = 1; id <= members; ++id) {
    SimNode::Settings settings = common;
    if (clocks_drift) settings.drift = (static_cast<double>(random->Below(201)) - 100) / 1000;
    // What a member remembers must not change what it answers.
    settings.datum_cache_bytes = random->Chance(0.5) ? 0 : 64 << 10;
    nodes_.push_back(std::make_unique<SimNode>(raft::NodeId(id), settings, around));
  }
}

void Simulation::Deliver(size_t host, const std::string& bytes, bool flipped) {
  nodes_[host - 1]->Receive(bytes, flipped);
}

void Simulation::RunUntil(base::TimePoint time) {
  while (world_.now() < time && !Failed()) {
    world_.RunUntil(std::min(time, world_.now() + milliseconds(100)));
  }
}

void Simulation::Heal() {
  timeline_.Tell("everything heals");
  faults_->Stop();
  network_->Heal();
  for (const auto& node : nodes_) node->Heal();
}

// Asks a member after the other, until one serves.
void Simulation::ProbeUntilServed() {
  SimNode* node = nodes_[world_.random()->Below(nodes_.size())].get();
  clients_->Probe(node, [this] { served_after_healing_ = true; });
  world_.After(seconds(1), [this] {
    if (!served_after_healing_ && world_.now() + kQuiet < end_) ProbeUntilServed();
  });
}

void Simulation::CheckLiveness() {
  std::ostringstream state;
  size_t leaders = 0;
  bool level = true;
  for (const auto& node : nodes_) {
    const raft::Core* core = node->core();
    if (core == nullptr) {
      return checker_.Fail("liveness: " + node->name() + " does not run after healing");
    }
    state << " n" << node->id() << ":" << raft::RoleName(core->role()) << " t"
          << core->current_term() << " last=" << core->log().last()
          << " commit=" << core->commit_index() << " applied=" << core->last_applied()
          << " hash=" << node->kv()->state_hash();
    if (core->role() == raft::Role::kLeader) ++leaders;
    if (node->kv()->applied() != nodes_[0]->kv()->applied()) level = false;
    if (node->kv()->state_hash() != nodes_[0]->kv()->state_hash()) level = false;
  }
  if (leaders != 1) checker_.Fail("liveness: not one leader after healing:" + state.str());
  if (!level) checker_.Fail("liveness: members differ after healing:" + state.str());
  if (!served_after_healing_) {
    checker_.Fail("liveness: no write and read were served after healing:" + state.str());
  }
}

void Simulation::CheckClients() {
  checker_.Finish();
  const std::string violation = CheckHistory(clients_->history());
  if (!violation.empty()) checker_.Fail(violation);
}

RunResult Simulation::Run() {
  for (const auto& node : nodes_) node->Start();
  faults_->Plan(options_.faults ? *options_.faults : FaultsOf(options_));
  clients_->Start();
  RunUntil(end_ - kHealing);
  if (!Failed()) {
    Heal();
    ProbeUntilServed();
  }
  RunUntil(end_ - kQuiet);
  clients_->Stop();
  RunUntil(end_ - milliseconds(1));
  if (!Failed()) CheckLiveness();
  CheckClients();
  if (options_.history != nullptr) WriteJson(clients_->history(), begin_, options_.history);
  if (Failed()) timeline_.Tell("VIOLATION: " + checker_.violation());
  return {checker_.violation(),
          nodes_.size(),
          world_.events(),
          checker_.committed(),
          checker_.acknowledged_operations(),
          checker_.reads(),
          checker_.terms_led(),
          timeline_.hash()};
}

}  // namespace

std::vector<Fault> FaultsOf(const RunOptions& options) {
  return DrawFaults(options.seed, MembersOf(options.seed), options.length - kHealing);
}

RunResult Run(const RunOptions& options) {
  base::SetEndProcess([](const std::string& why) { throw ProcessEnded{why}; });
  return Simulation(options).Run();
}

}  // namespace simulation
