// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/faults.h"

#include <cstdio>

namespace simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Row {
  FaultKind kind;
  const char* name;
  // How often, beside the others.
  uint64_t weight;
  bool about_host;
  base::Duration length_min;
  base::Duration length_max;
};

constexpr Row kRows[] = {
    {FaultKind::kKill, "kill", 12, true, milliseconds(1), seconds(6)},
    {FaultKind::kPowerLoss, "power loss", 12, true, milliseconds(1), seconds(6)},
    {FaultKind::kPowerLossInWrite, "power loss in a write", 12, true, milliseconds(1), seconds(6)},
    {FaultKind::kKillInWrite, "kill in a write", 6, true, milliseconds(5), milliseconds(500)},
    {FaultKind::kAllLosePower, "all lose power", 8, false, milliseconds(1), seconds(2)},
    {FaultKind::kPause, "pause", 10, true, milliseconds(10), seconds(5)},
    {FaultKind::kFreezeClock, "clock stands still", 4, true, milliseconds(100), seconds(5)},
    {FaultKind::kStallDisk, "disk stalls", 6, true, milliseconds(100), seconds(15)},
    {FaultKind::kIsolate, "isolated", 8, true, milliseconds(100), seconds(6)},
    {FaultKind::kMute, "mute", 5, true, milliseconds(100), seconds(6)},
    {FaultKind::kDeafen, "deaf", 5, true, milliseconds(100), seconds(6)},
    {FaultKind::kCutSome, "some links cut", 8, false, milliseconds(100), seconds(8)},
    {FaultKind::kBridge, "bridge", 4, false, milliseconds(500), seconds(8)},
    {FaultKind::kMajorityRing, "majority ring", 3, false, milliseconds(500), seconds(8)},
    {FaultKind::kFlap, "links flap", 4, true, milliseconds(50), milliseconds(500)},
    {FaultKind::kSlowLinks, "slow links", 4, false, milliseconds(500), seconds(10)},
    {FaultKind::kMendLinks, "all links are whole", 8, false, {}, {}},
    {FaultKind::kLeadersFall, "new leaders fall", 4, false, seconds(2), seconds(15)},
    {FaultKind::kPromisesFall, "promises fall", 4, false, seconds(2), seconds(15)},
    {FaultKind::kSyncError, "the disk refuses", 4, true, {}, {}},
    {FaultKind::kFullDisk, "the disk is full", 3, true, seconds(1), seconds(8)},
    {FaultKind::kRotLog, "the log rots", 5, true, milliseconds(1), seconds(4)},
    {FaultKind::kRotState, "the state rots", 3, true, {}, {}},
    {FaultKind::kTurnState, "the state turns", 4, true, {}, {}},
    {FaultKind::kLateThenMute, "hears late, then is mute", 5, true, seconds(2), seconds(6)},
    {FaultKind::kTransfer, "leadership is handed over", 5, true, {}, {}},
    {FaultKind::kFalseHint, "connections to it break", 3, true, {}, {}},
    {FaultKind::kAddMember, "a member is added", 4, false, {}, {}},
    {FaultKind::kRemoveMember, "is removed", 4, true, {}, {}},
    {FaultKind::kWipe, "is wiped", 4, true, {}, {}},
    {FaultKind::kChangeInVain, "a change in vain", 5, false, milliseconds(200), seconds(4)},
    {FaultKind::kRotAndFall, "a log rots as its leader falls", 5, false, milliseconds(200),
     seconds(3)},
};

const Row& RowOf(FaultKind kind) {
  for (const Row& row : kRows) {
    if (row.kind == kind) return row;
  }
  return kRows[0];
}

base::Duration Between(base::Random* random, base::Duration low, base::Duration high) {
  return base::Duration(static_cast<int64_t>(
      random->Between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
}

Fault DrawFault(base::Random* random, size_t hosts) {
  uint64_t weights = 0;
  for (const Row& row : kRows) weights += row.weight;
  uint64_t chosen = random->Below(weights);
  const Row* row = kRows;
  while (chosen >= row->weight) chosen -= (row++)->weight;
  Fault fault;
  fault.kind = row->kind;
  if (row->about_host) fault.host = random->Chance(0.3) ? 0 : random->Between(1, hosts);
  // Often short: what was in memory is gone, what others remember of it is fresh.
  const base::Duration longest = random->Chance(0.35)
                                     ? std::min<base::Duration>(row->length_max, milliseconds(20))
                                     : row->length_max;
  fault.length = Between(random, std::min(row->length_min, longest), longest);
  fault.seed = random->Next();
  return fault;
}

}  // namespace

std::string Describe(const Fault& fault) {
  const Row& row = RowOf(fault.kind);
  char text[160];
  std::string target;
  if (row.about_host) {
    target = fault.host == 0 ? "the leader: " : "host " + std::to_string(fault.host) + ": ";
  }
  std::snprintf(text, sizeof text, "fault: %s%s (%.4f s)", target.c_str(), row.name,
                std::chrono::duration<double>(fault.length).count());
  return text;
}

std::vector<Fault> DrawFaults(uint64_t seed, size_t hosts, base::Duration end) {
  base::Random random(seed * 2 + 1);
  std::vector<Fault> faults;
  for (FaultKind theme : {FaultKind::kLeadersFall, FaultKind::kPromisesFall}) {
    if (!random.Chance(0.35)) continue;
    faults.push_back({theme, base::Duration(random.Below(1000)), end, 0, random.Next()});
  }
  base::Duration at{};
  // Some runs are stormy, some nearly quiet.
  const base::Duration pause_max = random.Chance(0.2) ? seconds(10) : milliseconds(2500);
  while (true) {
    at += Between(&random, milliseconds(50), pause_max);
    if (at >= end) return faults;
    faults.push_back(DrawFault(&random, hosts));
    faults.back().at = at;
  }
}

}  // namespace simulation
