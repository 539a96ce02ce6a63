// SPDX-License-Identifier: Apache-2.0
//
// faults.h: what goes wrong in a run, as a list that is drawn before it begins.
//
// A list can be shown, and shrunk: a run with some of its faults left out is a run too.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace simulation {

enum class FaultKind {
  kKill,
  kPowerLoss,
  kPowerLossInWrite,
  kKillInWrite,  // and the power goes soon after
  kAllLosePower,
  kPause,
  kFreezeClock,
  kStallDisk,
  kIsolate,
  kMute,    // it hears, and nobody hears it
  kDeafen,  // it is heard, and hears nobody
  kCutSome,
  kBridge,        // two halves, and one member that both can reach
  kMajorityRing,  // each sees a majority, no two the same
  kFlap,
  kSlowLinks,
  kMendLinks,
  kLeadersFall,   // for a while, new leaders come to grief in their first milliseconds
  kPromisesFall,  // for a while, members come to grief as they write a term or a vote
  kSyncError,     // the next sync or write is refused
  kFullDisk,
  kRotLog,    // bits of the log turn over while the member is down
  kRotState,  // a record of the state can be read no more
  kTransfer,
  kFalseHint,  // connections break though nobody died
  kAddMember,
  kRemoveMember,
  kWipe,
  kChangeInVain,  // a leader that is cut off is asked to change the members
  kTurnState,     // one put has another outcome here, and nothing says so
  kLateThenMute,  // what it hears comes late and later, then nobody hears it
  kRotAndFall,    // the majority moves to those that lag, and takes along one whose log rots
};

struct Fault {
  FaultKind kind = FaultKind::kKill;
  // Since the run began.
  base::Duration at{};
  base::Duration length{};
  // The host it is about, 1 to the number of hosts; 0: whoever leads.
  size_t host = 0;
  // Of all that is random in how it is done.
  uint64_t seed = 0;
};

std::string Describe(const Fault& fault);

// In the order of their times, all before `end`. Some seeds have a theme that lasts all along.
std::vector<Fault> DrawFaults(uint64_t seed, size_t hosts, base::Duration end);

}  // namespace simulation
