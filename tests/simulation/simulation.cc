// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/simulation.h"

#include <cstdio>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/crc32c.h"

namespace simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Faults end and healing begins this long before the end.
constexpr base::Duration kHealing = seconds(12);
constexpr base::Duration kClientPatience = seconds(4);

class Simulation {
 public:
  explicit Simulation(const RunOptions& options);
  RunResult Run();

 private:
  void Tell(const std::string& line);
  void Deliver(raft::NodeId from, raft::NodeId to, std::string bytes);
  void StartClient(size_t client);
  void ClientWrites(size_t client);
  void ClientReads(size_t client);
  void ClientGoesOn(size_t client);
  void PlanFault();
  void InjectFault();
  void FaultOnNode(SimNode* node);
  void Isolate(SimNode* node);
  void PlanFaultOnNewLeader(SimNode* node);
  void CutLinks();
  void Heal();
  void CheckLiveness();
  SimNode* RandomNode() { return nodes_[world_.random()->Below(nodes_.size())].get(); }
  bool FaultsAreOver() const { return world_.now() >= faults_end_; }
  bool Failed() const { return !checker_.violation().empty(); }

  const RunOptions options_;
  World world_;
  Checker checker_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  base::TimePoint begin_;
  base::TimePoint faults_end_;
  base::TimePoint end_;

  double loss_ = 0;
  double duplication_ = 0;
  base::Duration slow_link_max_{};
  bool leaders_fall_ = false;
  std::set<std::pair<raft::NodeId, raft::NodeId>> cut_;
  uint64_t next_operation_ = 1;
  uint64_t trace_hash_ = 0;
  uint64_t answered_after_healing_ = 0;
};

Simulation::Simulation(const RunOptions& options)
    : options_(options), world_(options.seed), checker_(options.voters) {
  begin_ = world_.now();
  end_ = begin_ + options.length;
  faults_end_ = end_ - kHealing;
  base::Random* random = world_.random();
  loss_ = random->Chance(0.3) ? 0 : static_cast<double>(random->Below(15)) / 100;
  duplication_ = random->Chance(0.5) ? 0 : 0.05;
  slow_link_max_ = random->Chance(0.3) ? milliseconds(400) : milliseconds(8);

  leaders_fall_ = random->Chance(0.4);

  SimNode::Settings settings;
  settings.voters = options.voters;
  settings.sync_max = random->Chance(0.2) ? milliseconds(60) : milliseconds(3);
  settings.segment_bytes = random->Chance(0.5) ? 8 << 10 : 64 << 10;
  settings.log_cache_bytes_max = random->Chance(0.5) ? 2 << 10 : 64 << 10;
  // One entry a message, few under way: what lies between two entries is seen on the network.
  if (random->Chance(0.5)) settings.append_bytes_max = 1;
  if (random->Chance(0.5)) settings.in_flight_messages_max = random->Between(1, 4);
  for (uint64_t id = 1; id <= options.voters; ++id) {
    nodes_.push_back(std::make_unique<SimNode>(
        raft::NodeId(id), settings, &world_, &checker_,
        [this](raft::NodeId from, raft::NodeId to, std::string bytes) {
          Deliver(from, to, std::move(bytes));
        },
        [this, id](const std::string& line) {
          Tell(line);
          if (line.ends_with("becomes leader")) PlanFaultOnNewLeader(nodes_[id - 1].get());
        }));
  }
  std::map<raft::NodeId, const DurableTerms*> disks;
  for (const auto& node : nodes_) disks[node->id()] = &node->durable_terms();
  for (const auto& node : nodes_) node->set_disks(disks);
}

void Simulation::Tell(const std::string& line) {
  trace_hash_ = base::Crc32c(line, static_cast<uint32_t>(trace_hash_)) + (trace_hash_ << 7);
  if (!options_.timeline) return;
  char time[32];
  std::snprintf(time, sizeof time, "%10.4f s  ",
                std::chrono::duration<double>(world_.now() - begin_).count());
  options_.timeline(time + line);
}

void Simulation::Deliver(raft::NodeId from, raft::NodeId to, std::string bytes) {
  base::Random* random = world_.random();
  trace_hash_ = base::Crc32c(bytes, static_cast<uint32_t>(trace_hash_)) + (trace_hash_ << 7);
  const bool faulty = !FaultsAreOver();
  if (faulty && (cut_.count({from, to}) > 0 || random->Chance(loss_))) return;
  const int copies = faulty && random->Chance(duplication_) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    // Most links are quick; some messages come much later, and so out of order or stale.
    base::Duration delay = world_.RandomDelay(microseconds(100), milliseconds(4));
    if (faulty && random->Chance(0.05)) delay = world_.RandomDelay(microseconds(1), slow_link_max_);
    if (faulty && copy == 1) delay = world_.RandomDelay(microseconds(1), seconds(4));
    world_.After(delay, [this, to, bytes] { nodes_[to.value() - 1]->Receive(bytes); });
  }
}

void Simulation::StartClient(size_t client) {
  world_.After(world_.RandomDelay(milliseconds(1), milliseconds(300)), [this, client] {
    // The last writes must settle, so that members can be compared.
    if (Failed() || world_.now() > end_ - seconds(3)) return;
    if (world_.random()->Chance(0.6)) {
      ClientWrites(client);
    } else {
      ClientReads(client);
    }
  });
}

void Simulation::ClientWrites(size_t client) {
  const uint64_t operation = next_operation_++;
  auto again = std::make_shared<bool>(true);
  RandomNode()->Publish(EncodeOperation(operation, world_.random()->Below(200)), kClientPatience,
                        [this, client, operation, again](raft::PublishOutcome outcome) {
                          using Kind = raft::PublishOutcome::Kind;
                          if (outcome.kind == Kind::kApplied) {
                            checker_.OnAcknowledged(operation);
                            if (FaultsAreOver()) ++answered_after_healing_;
                          } else if (outcome.kind != Kind::kUnknown) {
                            checker_.OnDropped(operation);
                          }
                          if (std::exchange(*again, false)) StartClient(client);
                        });
  // A member that dies takes its answer with it.
  world_.After(kClientPatience + seconds(1), [this, client, again] {
    if (std::exchange(*again, false)) StartClient(client);
  });
}

void Simulation::ClientReads(size_t client) {
  const raft::Index floor = checker_.read_floor();
  SimNode* node = RandomNode();
  auto again = std::make_shared<bool>(true);
  node->Read(kClientPatience, [this, client, floor, node, again](raft::ReadOutcome outcome) {
    if (outcome == raft::ReadOutcome::kReady) checker_.OnRead(floor, node->applied().index);
    if (std::exchange(*again, false)) StartClient(client);
  });
  world_.After(kClientPatience + seconds(1), [this, client, again] {
    if (std::exchange(*again, false)) StartClient(client);
  });
}

void Simulation::PlanFault() {
  world_.After(world_.RandomDelay(milliseconds(50), milliseconds(2500)), [this] {
    if (FaultsAreOver() || Failed()) return;
    InjectFault();
    PlanFault();
  });
}

void Simulation::InjectFault() {
  switch (world_.random()->Below(8)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return FaultOnNode(RandomNode());
    case 4:
    case 5:
      return CutLinks();
    case 6:
      cut_.clear();
      return Tell("all links are whole");
    default: {
      Tell("all members lose power");
      for (const auto& node : nodes_) {
        node->LosePower(false);
        SimNode* again = node.get();
        world_.After(world_.RandomDelay(milliseconds(1), seconds(2)), [again] {
          if (!again->running()) again->Start();
        });
      }
    }
  }
}

void Simulation::FaultOnNode(SimNode* node) {
  base::Random* random = world_.random();
  const std::string name = "n" + std::to_string(node->id().value());
  if (node->running() && random->Chance(0.25)) {
    Tell(name + " is paused");
    node->Pause();
    world_.After(world_.RandomDelay(milliseconds(10), seconds(5)), [this, node, name] {
      if (!node->paused()) return;
      Tell(name + " goes on");
      node->Resume();
    });
    return;
  }
  if (node->running()) {
    const uint64_t kind = random->Below(3);
    Tell(name + (kind == 0   ? " is killed"
                 : kind == 1 ? " loses power"
                             : " will lose power in a write"));
    if (kind == 0) {
      node->Kill();
    } else {
      node->LosePower(kind == 2);
    }
  }
  // Often at once: what was in memory is gone, what others remember of it is fresh.
  const base::Duration down = random->Chance(0.4)
                                  ? world_.RandomDelay(microseconds(10), milliseconds(20))
                                  : world_.RandomDelay(milliseconds(20), seconds(6));
  world_.After(down, [this, node, name] {
    if (node->running()) return;
    Tell(name + " starts");
    node->Start();
  });
}

// The first milliseconds of a leader are where terms meet: its own first entry is on its way
// beside what it inherited (paper, figure 8).
void Simulation::PlanFaultOnNewLeader(SimNode* node) {
  if (!leaders_fall_ || FaultsAreOver() || !world_.random()->Chance(0.5)) return;
  world_.After(world_.RandomDelay(microseconds(10), milliseconds(20)), [this, node] {
    if (FaultsAreOver() || !node->running() || node->paused()) return;
    if (world_.random()->Chance(0.5)) {
      FaultOnNode(node);
    } else {
      Isolate(node);
    }
  });
}

void Simulation::Isolate(SimNode* node) {
  Tell("cut: n" + std::to_string(node->id().value()) + " from all");
  for (const auto& other : nodes_) {
    cut_.insert({node->id(), other->id()});
    cut_.insert({other->id(), node->id()});
  }
  world_.After(world_.RandomDelay(milliseconds(100), seconds(4)), [this] { cut_.clear(); });
}

void Simulation::CutLinks() {
  base::Random* random = world_.random();
  std::ostringstream line;
  line << "cut:";
  const bool isolate = random->Chance(0.4);
  const raft::NodeId victim = RandomNode()->id();
  const bool both_ways = random->Chance(0.5);
  for (const auto& from : nodes_) {
    for (const auto& to : nodes_) {
      if (from == to) continue;
      const bool touches = from->id() == victim || (both_ways && to->id() == victim);
      if (isolate ? touches : random->Chance(0.25)) {
        cut_.insert({from->id(), to->id()});
        line << " n" << from->id() << ">n" << to->id();
      }
    }
  }
  Tell(line.str());
  world_.After(world_.RandomDelay(milliseconds(100), seconds(8)), [this] { cut_.clear(); });
}

void Simulation::Heal() {
  Tell("everything heals");
  cut_.clear();
  for (const auto& node : nodes_) {
    if (node->paused()) node->Resume();
    if (!node->running()) node->Start();
  }
}

void Simulation::CheckLiveness() {
  std::ostringstream state;
  size_t leaders = 0;
  bool level = true;
  for (const auto& node : nodes_) {
    const raft::Core* core = node->core();
    if (core == nullptr) return checker_.Fail("liveness: a member does not run after healing");
    state << " n" << node->id() << ":" << raft::RoleName(core->role()) << " t"
          << core->current_term() << " last=" << core->log().last()
          << " commit=" << core->commit_index() << " applied=" << core->last_applied();
    if (core->role() == raft::Role::kLeader) ++leaders;
    if (node->applied() != nodes_[0]->applied()) level = false;
  }
  if (leaders != 1) checker_.Fail("liveness: not one leader after healing:" + state.str());
  if (!level) checker_.Fail("liveness: members differ after healing:" + state.str());
  if (answered_after_healing_ == 0) {
    checker_.Fail("liveness: no write was answered after healing:" + state.str());
  }
}

RunResult Simulation::Run() {
  for (const auto& node : nodes_) node->Start();
  for (size_t client = 0; client < 4; ++client) StartClient(client);
  PlanFault();
  const auto step = [this](base::TimePoint until) {
    while (world_.now() < until && !Failed()) {
      world_.RunUntil(std::min(until, world_.now() + milliseconds(100)));
    }
  };
  step(faults_end_);
  if (!Failed()) Heal();
  // Members whose power goes in a write that was planned before the healing start again.
  const base::TimePoint quiet = end_ - seconds(5);
  while (world_.now() < quiet && !Failed()) {
    step(world_.now() + milliseconds(500));
    for (const auto& node : nodes_) {
      if (!node->running()) node->Start();
    }
  }
  step(end_ - milliseconds(1));
  if (!Failed()) CheckLiveness();
  checker_.Finish();
  if (Failed()) Tell("VIOLATION: " + checker_.violation());
  return {checker_.violation(), world_.events(),
          checker_.committed(), checker_.acknowledged_operations(),
          checker_.reads(),     checker_.terms_led(),
          trace_hash_};
}

}  // namespace

RunResult Run(const RunOptions& options) { return Simulation(options).Run(); }

}  // namespace simulation
