// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/fault_injector.h"

#include <algorithm>

namespace simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

void FaultInjector::Plan(const std::vector<Fault>& faults) {
  const base::TimePoint begin = world_->now();
  for (const Fault& fault : faults) {
    world_->At(begin + fault.at, [this, fault] {
      if (!stopped_) Do(fault);
    });
  }
}

SimNode* FaultInjector::Target(const Fault& fault) const {
  if (fault.host != 0) return (*nodes_)[fault.host - 1].get();
  for (const auto& node : *nodes_) {
    if (node->core() != nullptr && node->core()->role() == raft::Role::kLeader) return node.get();
  }
  return nodes_->front().get();
}

size_t FaultInjector::HostOf(const SimNode* node) const {
  for (size_t i = 0; i < nodes_->size(); ++i) {
    if ((*nodes_)[i].get() == node) return i + 1;
  }
  return 0;
}

void FaultInjector::Do(const Fault& fault) {
  timeline_->Tell(Describe(fault));
  base::Random random(fault.seed);
  switch (fault.kind) {
    case FaultKind::kAllLosePower:
      for (const auto& node : *nodes_) {
        node->LosePower(false);
        StartAfter(base::Duration(static_cast<int64_t>(
                       random.Below(static_cast<uint64_t>(fault.length.count()) + 1))),
                   node.get());
      }
      return;
    case FaultKind::kLeadersFall:
      leaders_fall_until_ = world_->now() + fault.length;
      return;
    case FaultKind::kPromisesFall:
      promises_fall_until_ = world_->now() + fault.length;
      return;
    case FaultKind::kMendLinks:
      return network_->MendCuts();
    case FaultKind::kCutSome:
    case FaultKind::kBridge:
    case FaultKind::kMajorityRing:
    case FaultKind::kSlowLinks:
      return DoToLinks(fault, &random);
    default:
      return DoToNode(fault, Target(fault));
  }
}

void FaultInjector::DoToNode(const Fault& fault, SimNode* node) {
  const size_t host = HostOf(node);
  base::Random random(fault.seed);
  switch (fault.kind) {
    case FaultKind::kKill:
      node->Kill();
      return StartAfter(fault.length, node);
    case FaultKind::kPowerLoss:
      node->LosePower(false);
      return StartAfter(fault.length, node);
    case FaultKind::kPowerLossInWrite:
      return node->LosePower(true);
    case FaultKind::kKillInWrite:
      return node->KillInWrite(fault.length);
    case FaultKind::kPause:
      node->Pause();
      return world_->After(fault.length, [node] {
        if (node->paused()) node->Resume();
      });
    case FaultKind::kFreezeClock:
      node->FreezeClock();
      return world_->After(fault.length, [node] { node->ThawClock(); });
    case FaultKind::kStallDisk:
      return node->StallDisk(world_->now() + fault.length);
    case FaultKind::kSyncError:
      return node->RefuseOneWrite();
    case FaultKind::kFullDisk:
      node->FillDisk(random.Below(64 << 10));
      return world_->After(fault.length, [node] { node->EmptyDisk(); });
    case FaultKind::kRotLog:
      return RotLog(fault, node);
    case FaultKind::kRotState:
      if (MayDamage(node)) node->RotState(&random);
      return;
    case FaultKind::kTurnState:
      if (MayDamage(node)) node->TurnState();
      return;
    case FaultKind::kLateThenMute:
      return LateThenMute(fault, host, 0);
    case FaultKind::kTransfer:
      return node->Report(raft::TransferLeadership{
          random.Chance(0.5) ? raft::kNobody : (*nodes_)[random.Below(hosts())]->id()});
    case FaultKind::kFalseHint:
      return BreakConnections(node);
    case FaultKind::kAddMember:
    case FaultKind::kRemoveMember:
    case FaultKind::kWipe:
      return ChangeMembers(fault, node);
    case FaultKind::kChangeInVain:
      return ChangeInVain(fault, node);
    case FaultKind::kRotAndFall:
      return RotAndFall(fault, node);
    case FaultKind::kIsolate:
      return network_->Cut(LinksOf(host, true, true), fault.length);
    case FaultKind::kMute:
      return network_->Cut(LinksOf(host, false, true), fault.length);
    case FaultKind::kDeafen:
      return network_->Cut(LinksOf(host, true, false), fault.length);
    default:
      return Flap(fault, host, 10);
  }
}

void FaultInjector::DoToLinks(const Fault& fault, base::Random* random) {
  std::vector<Network::Link> links;
  if (fault.kind == FaultKind::kBridge) {
    links = Bridge(random);
  } else if (fault.kind == FaultKind::kMajorityRing) {
    links = MajorityRing();
  } else {
    for (size_t from = 1; from <= hosts(); ++from) {
      for (size_t to = 1; to <= hosts(); ++to) {
        if (from != to && random->Chance(0.3)) links.push_back({from, to});
      }
    }
  }
  if (fault.kind == FaultKind::kSlowLinks) {
    return network_->Slow(links, milliseconds(random->Between(20, 800)), fault.length);
  }
  network_->Cut(links, fault.length);
}

void FaultInjector::StartAfter(base::Duration delay, SimNode* node) {
  world_->After(delay, [this, node] {
    if (node->running() || !node->inhabited()) return;
    timeline_->Tell(node->name() + " starts");
    node->Start();
  });
}

// In every configuration that anybody has, committed or not: it may yet decide.
bool FaultInjector::MayDamage(const SimNode* node) const {
  // One wound a member at a time, so that it is known when it is whole again.
  if (operator_->busy() || node->damaged()) return false;
  const auto is_whole = [this, node](raft::NodeId voter) {
    for (const auto& other : *nodes_) {
      if (other->id() == voter) return other.get() != node && !other->damaged();
    }
    return false;
  };
  for (const auto& other : *nodes_) {
    if (!other->inhabited()) continue;
    if (other->core() == nullptr || !other->core()->configuration().IsQuorum(is_whole)) {
      return false;
    }
  }
  return true;
}

void FaultInjector::ChangeMembers(const Fault& fault, SimNode* node) {
  if (operator_->busy()) return;
  if (fault.kind == FaultKind::kAddMember) {
    for (const auto& host : *nodes_) {
      if (!host->inhabited()) return operator_->Add(host->host());
    }
  } else if (!node->inhabited() || !MayDamage(node)) {
    return;
  } else if (fault.kind == FaultKind::kRemoveMember) {
    operator_->Remove(node->id());
  } else {
    const raft::NodeId old_id = node->id();
    node->Wipe();
    if (node->inhabited()) return node->Start();
    operator_->Replace(node->host(), old_id);
  }
}

// What it appends is cut again if it stays alone for long enough, and the change with it.
void FaultInjector::ChangeInVain(const Fault& fault, SimNode* leader) {
  if (operator_->busy() || leader->core() == nullptr || leader->paused()) return;
  base::Random random(fault.seed);
  SimNode* other = (*nodes_)[random.Below(hosts())].get();
  if (!other->inhabited()) {
    operator_->Add(other->host());
  } else if (MayDamage(other)) {
    operator_->Remove(other->id());
  } else {
    return;
  }
  network_->Cut(LinksOf(HostOf(leader), true, true), fault.length);
  operator_->AskNow(leader);
}

// A minority lags. Then one of the majority loses a part of its log, has hardly heard its leader
// again when the rest of that majority is cut off, and is the one vote that those who lag want.
void FaultInjector::RotAndFall(const Fault& fault, SimNode* leader) {
  const raft::Core* core = leader->core();
  if (core == nullptr || core->role() != raft::Role::kLeader || leader->paused()) return;
  base::Random random(fault.seed);
  std::set<size_t> lags, keeps;
  SimNode* rots = nullptr;
  for (const auto& node : *nodes_) {
    if (node.get() == leader || !core->configuration().IsVoter(node->id())) continue;
    if (rots == nullptr && random.Chance(0.5)) {
      rots = node.get();
    } else if (lags.size() + core->configuration().quorum_size() <
               core->configuration().voters().size()) {
      lags.insert(HostOf(node.get()));
    } else {
      keeps.insert(HostOf(node.get()));
    }
  }
  if (rots == nullptr || lags.empty() || !MayDamage(rots)) return;
  network_->Cut(LinksAround(lags), fault.length);
  Fault rot = fault;
  rot.length = base::Duration(static_cast<int64_t>(random.Below(5'000'000)));
  world_->After(fault.length - milliseconds(50), [this, rot, rots] {
    if (!stopped_ && rots->running()) RotLog(rot, rots);
  });
  const base::Duration later(static_cast<int64_t>(random.Below(60'000'000)));
  keeps.insert(HostOf(leader));
  world_->After(fault.length - milliseconds(50) + rot.length + later, [this, keeps, fault] {
    if (!stopped_) network_->Cut(LinksAround(keeps), seconds(1) + 2 * fault.length);
  });
}

// Answers are under way to it for seconds, while all others already follow another: what it is
// told of its leadership is true of the past (etcd-io/raft#397).
void FaultInjector::LateThenMute(const Fault& fault, size_t host, int steps_taken) {
  constexpr int kSteps = 4;
  // Less than an election timeout each, lest it hear nothing for that long.
  constexpr base::Duration kStep = milliseconds(600);
  if (stopped_) return;
  if (steps_taken == kSteps) return network_->Cut(LinksOf(host, false, true), fault.length);
  network_->Slow(LinksOf(host, true, false), kStep, 2 * kSteps * kStep + fault.length);
  world_->After(kStep + milliseconds(100),
                [this, fault, host, steps_taken] { LateThenMute(fault, host, steps_taken + 1); });
}

void FaultInjector::BreakConnections(SimNode* to) {
  for (const auto& other : *nodes_) {
    if (other.get() == to) continue;
    world_->After(world_->RandomDelay(microseconds(50), milliseconds(3)),
                  [other = other.get(), id = to->id()] { other->Report(raft::PeerLost{id}); });
  }
}

void FaultInjector::OnKilled(SimNode* node) {
  if (world_->random()->Chance(0.7)) BreakConnections(node);
}

void FaultInjector::RotLog(const Fault& fault, SimNode* node) {
  if (!MayDamage(node)) return;
  base::Random random(fault.seed);
  node->Kill();
  node->RotLog(&random);
  StartAfter(fault.length, node);
}

void FaultInjector::Flap(const Fault& fault, size_t host, int times_left) {
  if (times_left == 0 || stopped_) return;
  network_->Cut(LinksOf(host, true, true), fault.length);
  world_->After(2 * fault.length,
                [this, fault, host, times_left] { Flap(fault, host, times_left - 1); });
}

std::vector<Network::Link> FaultInjector::LinksOf(size_t host, bool in, bool out) const {
  std::vector<Network::Link> links;
  for (size_t other = 1; other <= hosts(); ++other) {
    if (other == host) continue;
    if (in) links.push_back({other, host});
    if (out) links.push_back({host, other});
  }
  return links;
}

std::vector<Network::Link> FaultInjector::LinksAround(const std::set<size_t>& some) const {
  std::vector<Network::Link> links;
  for (size_t from = 1; from <= hosts(); ++from) {
    for (size_t to = 1; to <= hosts(); ++to) {
      if (some.count(from) != some.count(to)) links.push_back({from, to});
    }
  }
  return links;
}

std::vector<Network::Link> FaultInjector::Bridge(base::Random* random) const {
  const size_t bridge = random->Between(1, hosts());
  std::vector<bool> left(hosts() + 1);
  for (size_t host = 1; host <= hosts(); ++host) left[host] = random->Chance(0.5);
  std::vector<Network::Link> links;
  for (size_t from = 1; from <= hosts(); ++from) {
    for (size_t to = 1; to <= hosts(); ++to) {
      if (from == bridge || to == bridge || left[from] == left[to]) continue;
      links.push_back({from, to});
    }
  }
  return links;
}

// Each host keeps its links to the next ones, as many as make a majority with it.
std::vector<Network::Link> FaultInjector::MajorityRing() const {
  const size_t reach = (hosts() / 2 + 1) / 2;
  std::vector<Network::Link> links;
  for (size_t from = 1; from <= hosts(); ++from) {
    for (size_t to = 1; to <= hosts(); ++to) {
      const size_t forward = (to + hosts() - from) % hosts();
      const size_t distance = std::min(forward, hosts() - forward);
      if (from != to && distance > reach) links.push_back({from, to});
    }
  }
  return links;
}

// What was promised and is not on the disk yet is forgotten here and remembered by others.
void FaultInjector::OnPromise(SimNode* node) {
  if (stopped_ || world_->now() > promises_fall_until_ || !world_->random()->Chance(0.25)) return;
  if (world_->random()->Chance(0.5)) return node->LosePower(true);
  const base::Duration soon = world_->RandomDelay(microseconds(10), milliseconds(10));
  world_->After(soon, [this, node] {
    if (stopped_ || !node->running() || node->paused()) return;
    timeline_->Tell(node->name() + " loses power after a promise");
    node->LosePower(false);
    StartAfter(world_->RandomDelay(microseconds(10), milliseconds(20)), node);
  });
}

// The first milliseconds of a leader are where terms meet: its own first entry is on its way
// beside what it inherited (paper, figure 8).
void FaultInjector::OnNewLeader(SimNode* node) {
  if (stopped_ || world_->now() > leaders_fall_until_ || !world_->random()->Chance(0.6)) return;
  base::Random* random = world_->random();
  Fault fault;
  constexpr FaultKind kKinds[] = {
      FaultKind::kKill,  FaultKind::kPowerLoss, FaultKind::kPowerLossInWrite,
      FaultKind::kPause, FaultKind::kIsolate,   FaultKind::kMute};
  fault.kind = kKinds[random->Below(std::size(kKinds))];
  fault.host = HostOf(node);
  fault.length = random->Chance(0.4) ? world_->RandomDelay(microseconds(10), milliseconds(20))
                                     : world_->RandomDelay(milliseconds(20), seconds(5));
  world_->After(world_->RandomDelay(microseconds(10), milliseconds(20)), [this, node, fault] {
    if (!stopped_ && node->running() && !node->paused()) Do(fault);
  });
}

}  // namespace simulation
