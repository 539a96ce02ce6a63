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
  PublishId id;
  RefusalReason reason = RefusalReason::kNoLeader;
};

// A peer, or this node's own state machine, needs entries that have left memory; answered by a
// Fetched event.
struct Fetch {
  NodeId peer;
  Index from;
};

// What is to be done with a snapshot that arrived.
struct StagedSnapshot {
  uint64_t staged = 0;
  // Set the state machine on it once all handed out before is applied, answered by a
  // SnapshotInstalled event; else throw it away.
  bool install = false;
};

// A peer that is to get this node's state, and the term in which this node leads.
struct SnapshotWish {
  NodeId peer;
  Term term;
};

// Many events may be stepped into one Effects: that is group commit, one fsync for all.
struct Effects {
  std::vector<Envelope> send_now;  // 1. may leave before the disk write

  WriteNumber write;                    // 2. one durable write, named by this number if not zero:
  std::optional<HardState> hard_state;  //    hard state, then
  std::optional<LogPosition> restart_log;  //    the log forgets all and goes on behind this place,
  std::vector<EntryRef> append;            //    then entries; one at an index that is taken cuts
                                           //    the log there; then
  std::optional<LogPosition> log_settled;  //    the log suits the state that was taken there

  std::vector<Envelope> send_after_persist;  // 3. promises: only once 2 and all writes before it
                                             //    are durable
  std::vector<EntryRef> apply;               // 4. committed and persisted here, in log order
  std::vector<ReadGrant> reads;              // 5. reads that may be served, or are to be repeated
  std::vector<RefusedPublish> refused;       // 6. publishes that came to nothing
  std::vector<Fetch> fetches;                // 7. entries wanted from the disk
  std::vector<StagedSnapshot> staged;        // 8. snapshots that came
  std::vector<SnapshotWish> snapshots;       // 9. each answered by a SnapshotSent event
  std::optional<Index> release_log;          // 10. the log up to here is not needed any more
  bool state_differs = false;                // 11. a quorum holds another state than this node
  bool acknowledged_is_gone = false;         // 12. the log lacks what this node has acknowledged

  bool empty() const {
    return send_now.empty() && write == WriteNumber{} && send_after_persist.empty() &&
           apply.empty() && reads.empty() && refused.empty() && fetches.empty() && staged.empty() &&
           snapshots.empty() && !release_log && !state_differs && !acknowledged_is_gone;
  }
};

}  // namespace raft
