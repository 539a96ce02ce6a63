// SPDX-License-Identifier: Apache-2.0
//
// ports.h: what a node needs of the world: a log, a place for promises, a state machine, a
// transport. Production plugs in files, RocksDB and gRPC; the simulator its own.

#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"

namespace raft {

// The replicated log on disk.
// Threads:  Append and Sync from the log thread only; Read from any thread.
// Errors:   a disk that refuses Append or Sync ends the process (DESIGN.md, rule 5).
class LogStore {
 public:
  virtual ~LogStore() = default;

  // Writes `entries` behind what is there. An entry at an index that is already taken cuts the
  // log there first (paper 5.3). Promises nothing about durability before the next Sync.
  // Requires: consecutive indexes, the first at most one past the last entry of the log.
  virtual void Append(std::span<const EntryRef> entries) = 0;

  // Promises: all that was appended before is durable when it returns.
  virtual void Sync() = 0;

  // The entries from `from` on, at least one if it exists, as many as fit in `bytes_max`.
  // Errors: OutOfRange if `from` is not in the log, DataLoss if the disk gives other bytes back.
  virtual absl::StatusOr<std::vector<EntryRef>> Read(Index from, size_t bytes_max) = 0;

  // Forgets all entries; the log goes on behind `base`, which the state holds. Durable when it
  // returns. Threads: log thread only.
  virtual void Restart(LogPosition base) = 0;

  // Lets go of what lies at the front of the log, if all of it is at or before `through` and the
  // reserve for peers that lag allows. Returns the place behind which the log begins now.
  // Threads: log thread only.
  virtual LogPosition Release(Index through) = 0;
};

// Where term and votedFor live (meta/).
class PromiseStore {
 public:
  virtual ~PromiseStore() = default;

  // Promises: durable when it returns. Threads: log thread only.
  // Errors:   a disk that refuses ends the process.
  virtual void SaveHardState(const HardState& hard_state) = 0;

  // The log holds the place of a state that was taken from another member, or begins behind it,
  // durably. Threads and errors as above.
  virtual void LogSettled(LogPosition position) = 0;
};

// One committed entry on its way into the state.
struct ApplyItem {
  EntryRef entry;
  // Somebody on this member waits for the response; without it none is encoded.
  bool response_wanted = false;
};

struct ApplyResult {
  absl::Status status;
  // The encoded response message of the request, if it was wanted and status is OK.
  std::string response;
};

// A state that came from a peer, as it is now in use.
struct InstalledState {
  LogPosition position;
  // The newest configuration at that position, and the index of its entry.
  Configuration configuration;
  Index configuration_index;
};

// What the log builds.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Applies committed entries, in log order and without gaps, each exactly once. The new state
  // of items and results depends on (state, entries) alone.
  // Requires: items[0].entry->index == applied() + 1. Entries of every kind come here; those
  //           that are not commands only move applied().
  // Promises: (*results)[i] answers items[i]; all is readable when it returns; the applied
  //           index is stored in the same atomic batch as what it covers.
  // Threads:  the apply thread only.
  virtual void Apply(std::span<const ApplyItem> items, std::vector<ApplyResult>* results) = 0;

  // The last entry in the state. Threads: any.
  virtual LogPosition applied() const = 0;

  // What the state holds at the newest multiple of kDigestInterval. Threads: apply thread.
  virtual StateDigest digest() const = 0;

  // The state can be read or trusted no more: Apply does nothing until an Install. Threads: any.
  virtual bool lost() const = 0;
  // The others say so: this state differs from a quorum's. Threads: any; never blocks.
  virtual void DeclareLost(const absl::Status& why) const = 0;

  // Puts the state that was staged under that name in the place of this one, durably. Whatever the
  // outcome, the staged one is used up. Threads: the apply thread only.
  virtual absl::StatusOr<InstalledState> Install(uint64_t staged) = 0;
};

// Carries whole states between members, on roads of their own.
// Threads: the raft thread; never blocks.
class SnapshotTransport {
 public:
  virtual ~SnapshotTransport() = default;

  using Done = std::function<void(absl::StatusOr<LogPosition>)>;

  // Sends this node's state, as it will be soon after, to `peer`. `done` is called exactly once,
  // from any thread and in bounded time, with the position that the peer has staged. One at a time
  // to one peer: a second is refused. `term` is the one in which this node leads: what an earlier
  // leader, or this one before, has on its way to that peer ends.
  virtual void SendSnapshot(NodeId peer, Term term, Done done) = 0;

  // Nobody wants the snapshot that was staged under that name.
  virtual void Discard(uint64_t staged) = 0;
};

// Carries encoded messages to peers. Loss, delay and reordering are allowed; corruption is not
// (the codec checks). Threads: any. Never blocks; drops when a peer's queue is full.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void Send(NodeId to, std::string bytes) = 0;
};

}  // namespace raft
