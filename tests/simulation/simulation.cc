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

// Some are spare: members are added there.
size_t HostsOf(uint64_t seed) { return MembersOf(seed) + seed % 3; }

SnapshotRoadSettings DrawRoad(base::Random* random) {
  SnapshotRoadSettings settings;
  settings.chunk_bytes = random->Chance(0.5) ? 1 << 10 : 64 << 10;
  // Minutes for a whole state, in some.
  settings.chunk_max = random->Chance(0.2) ? seconds(2) : milliseconds(5);
  return settings;
}

SimNode::Settings DrawNode(base::Random* random, size_t members) {
  SimNode::Settings settings;
  datum::membership::MembershipChange change;
  for (uint64_t id = 1; id <= members; ++id) {
    settings.founders.push_back(raft::NodeId(id));
    *change.mutable_bootstrap()->add_members() = MemberOn(id, raft::NodeId(id), false);
  }
  settings.bootstrap_command = raft::EncodeConfigurationCommand(
      raft::Configuration(settings.founders), change.SerializeAsString());
  settings.log_reserve_bytes = random->Chance(0.3) ? 256 << 20 : random->Below(24 << 10);
  settings.flush_chance = random->Chance(0.5) ? 0.02 : 0.1;
  settings.sync_max = random->Chance(0.2) ? milliseconds(60) : milliseconds(3);
  settings.segment_bytes = random->Chance(0.5) ? 8 << 10 : 64 << 10;
  settings.log_cache_bytes_max = random->Chance(0.5) ? 2 << 10 : 64 << 10;
  // One entry a message, few under way: what lies between two entries is seen on the network.
  if (random->Chance(0.5)) settings.append_bytes_max = 1;
  if (random->Chance(0.5)) settings.in_flight_messages_max = random->Between(1, 4);
  if (random->Chance(0.4)) settings.slow_turns = 0.02;
  if (random->Chance(0.7)) settings.digest_interval = random->Between(1, 16);
  // Hardly any log is kept: who was away for a moment is sent a whole state.
  if (random->Chance(0.25)) {
    settings.segment_bytes = 1 << 10;
    settings.log_reserve_bytes = 0;
    settings.flush_chance = 0.5;
  }
  return settings;
}

ClientSettings DrawClients(base::Random* random) {
  ClientSettings settings;
  // So many that a leader which is cut off gathers a long tail, and that states are compared
  // (raft::kDigestInterval).
  if (random->Chance(0.08)) {
    settings.clients = 24;
    settings.pause_max = milliseconds(random->Chance(0.5) ? 60 : 200);
  }
  return settings;
}

OperatorSettings DrawOperator(base::Random* random) {
  OperatorSettings settings;
  if (random->Chance(0.4)) {
    settings.from_log = 0.5;
    settings.any_leader = 0.5;
    settings.twice = 0.3;
    settings.pause_min = milliseconds(1);
    settings.pause_max = milliseconds(60);
  }
  return settings;
}

class Simulation {
 public:
  explicit Simulation(const RunOptions& options);
  RunResult Run();

 private:
  void BuildNodes(size_t members, size_t hosts);
  SimNode::Surroundings AroundNodes();
  SimNode* FindNode(raft::NodeId id) const;
  void TellRemoved(SimNode* by, raft::NodeId removed);
  void RunUntil(base::TimePoint time);
  void Heal();
  void ProbeUntilServed();
  SimNode* OnlyLeader();
  std::string StateText() const;
  void CheckLiveness();
  void CheckClients();
  bool Failed() const { return !checker_.violation().empty(); }

  const RunOptions options_;
  size_t members_ = 0;
  World world_;
  Timeline timeline_;
  Checker checker_;
  SimWatchers watchers_;
  base::TimePoint begin_;
  base::TimePoint end_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<SnapshotRoad> road_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<FaultInjector> faults_;
  std::unique_ptr<Clients> clients_;
  bool served_after_healing_ = false;
};

Simulation::Simulation(const RunOptions& options)
    : options_(options),
      world_(options.seed),
      timeline_(&world_, options.timeline),
      watchers_(options.seed, &checker_) {
  begin_ = world_.now();
  end_ = begin_ + options.length;
  members_ = MembersOf(options.seed);
  const size_t hosts = HostsOf(options.seed);
  base::Random* random = world_.random();
  network_ = std::make_unique<Network>(&world_, &timeline_, hosts, DrawNetwork(random),
                                       [this](size_t to, const Packet& packet, bool flipped) {
                                         nodes_[to - 1]->Receive(packet, flipped);
                                       });
  road_ = std::make_unique<SnapshotRoad>(
      &world_, DrawRoad(random), [this](raft::NodeId id) { return FindNode(id); },
      [this](const SimNode& from, const SimNode& to) {
        return network_->IsCut(from.host(), to.host()) || network_->IsCut(to.host(), from.host());
      });
  BuildNodes(members_, hosts);
  operator_ = std::make_unique<Operator>(DrawOperator(random), &world_, &timeline_, &nodes_);
  faults_ = std::make_unique<FaultInjector>(&world_, &timeline_, network_.get(), operator_.get(),
                                            &nodes_);
  clients_ = std::make_unique<Clients>(DrawClients(random), &world_, &checker_, &nodes_);
}

void Simulation::BuildNodes(size_t members, size_t hosts) {
  base::Random* random = world_.random();
  const SimNode::Settings common = DrawNode(random, members);
  const bool clocks_drift = random->Chance(0.5);
  // Then one leader sends a state where another still has the log.
  const bool reserves_differ = random->Chance(0.3);
  for (size_t host = 1; host <= hosts; ++host) {
    SimNode::Settings settings = common;
    if (clocks_drift) settings.drift = (static_cast<double>(random->Below(201)) - 100) / 1000;
    // What a member remembers must not change what it answers.
    settings.datum_cache_bytes = random->Chance(0.5) ? 0 : 64 << 10;
    if (reserves_differ) settings.log_reserve_bytes = random->Chance(0.5) ? 0 : 256 << 10;
    nodes_.push_back(std::make_unique<SimNode>(host, settings, AroundNodes()));
  }
}

SimNode::Surroundings Simulation::AroundNodes() {
  SimNode::Surroundings around;
  around.world = &world_;
  around.checker = &checker_;
  around.watchers = &watchers_;
  around.timeline = &timeline_;
  around.road = road_.get();
  around.send = [this](SimNode* from, raft::NodeId to, Packet packet) {
    SimNode* node = FindNode(to);
    if (node != nullptr) network_->Send(from->host(), node->host(), std::move(packet));
  };
  around.tell_removed = [this](SimNode* by, raft::NodeId removed) { TellRemoved(by, removed); };
  around.on_killed = [this](SimNode* node) { faults_->OnKilled(node); };
  around.disks = [this] {
    Disks disks;
    for (const auto& node : nodes_) disks[node->id()] = &node->disk();
    return disks;
  };
  around.on_new_leader = [this](SimNode* node) { faults_->OnNewLeader(node); };
  around.on_promise = [this](SimNode* node) { faults_->OnPromise(node); };
  return around;
}

// Where the member lives, or lived: its address stays when it is gone.
SimNode* Simulation::FindNode(raft::NodeId id) const {
  for (const auto& node : nodes_) {
    if (node->id() == id) return node.get();
  }
  return nullptr;
}

// "The member has been permanently removed from the cluster": it ends itself.
void Simulation::TellRemoved(SimNode* by, raft::NodeId removed) {
  world_.After(milliseconds(1), [this, by, removed] {
    SimNode* node = FindNode(removed);
    if (node == nullptr || !node->running() || network_->IsCut(by->host(), node->host())) return;
    timeline_.Tell(node->name() + " was removed and ends itself");
    node->Wipe();
  });
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
  road_->Heal();
  for (const auto& node : nodes_) node->Heal();
  clients_->CalmDown();
}

// Asks a member after the other, until one serves.
void Simulation::ProbeUntilServed() {
  SimNode* node = clients_->RandomNode();
  clients_->Probe(node, [this] { served_after_healing_ = true; });
  world_.After(seconds(1), [this] {
    if (!served_after_healing_ && world_.now() + kQuiet < end_) ProbeUntilServed();
  });
}

// Who leads in the highest term, which all others must be level with.
SimNode* Simulation::OnlyLeader() {
  SimNode* leader = nullptr;
  for (const auto& node : nodes_) {
    const raft::Core* core = node->core();
    if (core == nullptr || core->role() != raft::Role::kLeader) continue;
    if (leader != nullptr) checker_.Fail("liveness: two lead after healing");
    leader = node.get();
  }
  if (leader == nullptr) checker_.Fail("liveness: nobody leads after healing:" + StateText());
  return leader;
}

std::string Simulation::StateText() const {
  std::ostringstream state;
  for (const auto& node : nodes_) {
    const raft::Core* core = node->core();
    if (core == nullptr) continue;
    state << " n" << node->id() << ":" << raft::RoleName(core->role()) << " t"
          << core->current_term() << " last=" << core->log().last()
          << " commit=" << core->commit_index() << " applied=" << core->last_applied()
          << (core->hard_state().doubtful ? " doubtful" : "")
          << (core->state_lost() ? " lost" : "");
  }
  return state.str();
}

void Simulation::CheckLiveness() {
  const SimNode* leader = OnlyLeader();
  if (leader == nullptr) return;
  for (const auto& node : nodes_) {
    if (!leader->core()->configuration().IsMember(node->id())) continue;
    if (node->core() == nullptr) {
      return checker_.Fail("liveness: " + node->name() + " does not run after healing");
    }
    if (node->core()->hard_state().doubtful) {
      return checker_.Fail("liveness: a member still doubts itself after healing:" + StateText());
    }
    if (node->kv()->applied() != leader->kv()->applied() || node->kv()->lost() ||
        node->kv()->state_hash() != leader->kv()->state_hash()) {
      checker_.Fail("liveness: members differ after healing:" + StateText());
    }
  }
  if (!served_after_healing_) {
    checker_.Fail("liveness: no write and read were served after healing:" + StateText());
  }
}

void Simulation::CheckClients() {
  checker_.Finish();
  const std::string violation = CheckHistory(clients_->history());
  if (!violation.empty()) checker_.Fail(violation);
}

RunResult Simulation::Run() {
  for (size_t host = 1; host <= members_; ++host) {
    nodes_[host - 1]->MoveIn(raft::NodeId(host), true);
  }
  operator_->Start();
  faults_->Plan(options_.faults ? *options_.faults : FaultsOf(options_));
  clients_->Start();
  RunUntil(end_ - kHealing);
  if (!Failed()) {
    Heal();
    ProbeUntilServed();
  }
  RunUntil(end_ - kQuiet);
  clients_->Stop();
  operator_->Stop();
  RunUntil(end_ - milliseconds(1));
  if (!Failed()) CheckLiveness();
  CheckClients();
  if (!Failed()) watchers_.Finish(world_.now());
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
  return DrawFaults(options.seed, HostsOf(options.seed), options.length - kHealing);
}

RunResult Run(const RunOptions& options) {
  base::SetEndProcess([](const std::string& why) { throw ProcessEnded{why}; });
  return Simulation(options).Run();
}

}  // namespace simulation
