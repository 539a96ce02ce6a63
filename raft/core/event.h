// SPDX-License-Identifier: Apache-2.0
//
// event.h: everything that can happen to a Core.

#pragma once

#include <variant>
#include <vector>

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
};

// A client of this node wants to read what is linearizable.
struct ReadRequest {
  ReadId id;
};

// The answer to Effects::fetches: entries that had left memory, from the disk.
struct Fetched {
  NodeId peer;
  Index from;
  std::vector<EntryRef> entries;
};

using Event = std::variant<Tick, Envelope, Publish, Persisted, Applied, ReadRequest, Fetched>;

}  // namespace raft
