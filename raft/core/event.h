// SPDX-License-Identifier: Apache-2.0
//
// event.h: everything that can happen to a Core.

#pragma once

#include <variant>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/message.h"
#include "raft/core/types.h"

namespace raft {

// A write as the Core numbers it: one Effects that holds something durable is one write.
using WriteNumber = base::StrongNumber<struct WriteNumberTag>;

// Time has passed; what is due is done.
struct Tick {};

// Writes of this node's clients, in their order.
struct Publish {
  std::vector<Proposal> proposals;
};

// All writes up to this one are durable. The only thing that makes an entry count as stable.
struct Persisted {
  WriteNumber write;
};

// The state machine holds all up to here.
struct Applied {
  Index index;
  // Its newest digest.
  StateDigest digest;
};

// A client of this node wants to read what is linearizable.
struct ReadRequest {
  ReadId id;
};

// The answer to Effects::fetches: entries that had left memory, from the disk; none if the disk
// has them no more.
struct Fetched {
  NodeId peer;
  Index from;
  std::vector<EntryRef> entries;
};

// Lead no more, if this node leads: `to` shall, or whoever can best if nobody is named.
struct TransferLeadership {
  NodeId to;
};

// The connection to a peer broke or was refused. A hint, no proof.
struct PeerLost {
  NodeId peer;
};

// A whole state has come from a leader and lies on this disk, complete and durable, beside the
// one in use. `staged` is its name.
struct SnapshotArrived {
  LogPosition position;
  uint64_t staged = 0;
};

// The state machine stands on the state of Effects::staged, or could not be set on it.
struct SnapshotInstalled {
  bool ok = false;
  LogPosition position;
  Configuration configuration;
  // Of the entry with that configuration.
  Index configuration_index;
};

// The end of what Effects::snapshots began.
struct SnapshotSent {
  NodeId peer;
  bool ok = false;
  LogPosition position;
};

// The state up to `index` survives a crash without the log.
struct StateFlushed {
  Index index;
};

// The log on disk begins behind `base` now.
struct LogReleased {
  LogPosition base;
};

// The state machine's state cannot be trusted or read any more.
struct StateLost {};

// This process did not run for so long (a paused machine, a stopped process): the silence was its
// own. Comes before what has waited meanwhile.
struct StoodStill {
  base::Duration length;
};

using Event = std::variant<Tick, Envelope, Publish, Persisted, Applied, ReadRequest, Fetched,
                           TransferLeadership, PeerLost, SnapshotArrived, SnapshotInstalled,
                           SnapshotSent, StateFlushed, LogReleased, StateLost, StoodStill>;

}  // namespace raft
