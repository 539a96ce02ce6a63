// SPDX-License-Identifier: Apache-2.0
//
// types.h: the Raft paper's nouns as C++ types.
//
// "Paper" is Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm
// (extended version); "thesis" is Ongaro's dissertation.

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "base/strong_number.h"

namespace raft {

// Raft's logical period; at most one leader each (paper 5.1).
using Term = base::StrongNumber<struct TermTag>;
// A place in the log, 1 for the first entry. 0 is the place before it.
using Index = base::StrongNumber<struct IndexTag>;
// A member of the cluster. 0 is nobody.
using NodeId = base::StrongNumber<struct NodeIdTag>;
// Names one publish of one node for ever: the boot count in the upper 24 bits, a counter below.
// 0 for entries that nobody waits for.
using PublishId = base::StrongNumber<struct PublishIdTag>;
// One life of a node's process: its boot count.
using Session = base::StrongNumber<struct SessionTag>;

inline constexpr NodeId kNobody{};

// A place in the log and the term of the entry there.
struct LogPosition {
  Term term;
  Index index;
  friend auto operator<=>(const LogPosition&, const LogPosition&) = default;
};

enum class EntryKind : uint8_t {
  kCommand = 0,       // a client's write, for the state machine
  kLeaderStart = 1,   // the empty entry with which a leader begins its term (paper 8)
  kConfiguration = 2  // a membership change
};

// One slot of the replicated log. Immutable once made.
struct Entry {
  Term term;
  Index index;
  EntryKind kind = EntryKind::kCommand;
  // The node that took the publish and the name it gave it; who waits is told by these.
  NodeId origin;
  PublishId publish_id;
  std::string command;

  LogPosition position() const { return {term, index}; }
};

// The same bytes go to the disk, to the peers and to the state machine.
using EntryRef = std::shared_ptr<const Entry>;

// What a node has promised (paper, figure 2, persistent state). Durable before a promise leaves.
struct HardState {
  Term current_term;
  // Who got this node's vote in current_term; nobody if empty.
  std::optional<NodeId> voted_for;
  // Part of the log that this node may have acknowledged is gone with a damaged disk. Until it is
  // whole again it neither votes nor stands (persistence.cc).
  bool doubtful = false;
  // Up to it are lives that this directory does not remember: it is an older copy of itself.
  Session forgotten;
  friend bool operator==(const HardState&, const HardState&) = default;
};

// What a state holds at an index, in a number: equal on all members, or one of them is wrong.
struct StateDigest {
  Index index;  // 0: none
  uint64_t hash = 0;
  friend bool operator==(const StateDigest&, const StateDigest&) = default;
};
// States are compared at the multiples of this. A batch of the applier passes at most one.
inline constexpr uint64_t kDigestInterval = 1024;

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

const char* RoleName(Role role);
std::ostream& operator<<(std::ostream& out, const LogPosition& position);

}  // namespace raft
