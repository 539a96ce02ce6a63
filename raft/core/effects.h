// SPDX-License-Identifier: Apache-2.0
//
// effects.h: everything a Core can ask of the world, in the order in which it must be done.

#pragma once

#include <optional>
#include <vector>

#include "raft/core/event.h"
#include "raft/core/message.h"
#include "raft/core/types.h"

namespace raft {

// How a wish to read ended here. Not granted: no leader is known or it changed; ask again.
struct ReadGrant {
  ReadId id;
  bool granted = false;
  // The state may be read once this index is applied.
  Index read_index;
};

// Publishes that this node did not pass on or its leader did not take: surely not in any log.
struct RefusedPublish {
  // kNotLeader: it was sent to a member that does not lead in that term.
  enum class Reason { kNoLeader, kNotLeader, kTooMany };
  PublishId id;
  Reason reason = Reason::kNoLeader;
};

// A peer needs entries that have left memory; answered by a Fetched event.
struct Fetch {
  NodeId peer;
  Index from;
};

// Many events may be stepped into one Effects: that is group commit, one fsync for all.
struct Effects {
  std::vector<Envelope> send_now;  // 1. may leave before the disk write

  WriteNumber write;                    // 2. one durable write, named by this number if not zero:
  std::optional<HardState> hard_state;  //    hard state, then entries; an entry at an index that
  std::vector<EntryRef> append;         //    is taken cuts the log there

  std::vector<Envelope> send_after_persist;  // 3. promises: only once 2 and all writes before it
                                             //    are durable
  std::vector<EntryRef> apply;               // 4. committed and persisted here, in log order
  std::vector<ReadGrant> reads;              // 5. reads that may be served, or are to be repeated
  std::vector<RefusedPublish> refused;       // 6. publishes that came to nothing
  std::vector<Fetch> fetches;                // 7. entries wanted from the disk

  bool empty() const {
    return send_now.empty() && write == WriteNumber{} && send_after_persist.empty() &&
           apply.empty() && reads.empty() && refused.empty() && fetches.empty();
  }
};

}  // namespace raft
