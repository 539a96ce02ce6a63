// SPDX-License-Identifier: Apache-2.0
//
// node.h: one member's Raft as the server sees it.
//
// Three threads stand behind it (ARCHITECTURE.md, threads): raft (the driver, the only one that
// touches the Core), log (the only one that syncs) and apply (the only writer of the state).
// Callbacks run on answer threads (reads on threads of their own), where a local read and the
// encoding of its response belong;
// `on_status` alone runs on the raft thread and must not block.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "raft/core/types.h"
#include "raft/node/ports.h"

namespace raft {

// What became of a publish.
struct PublishOutcome {
  enum class Kind {
    kApplied,   // durable on a quorum and applied here; `result` is the answer
    kDropped,   // surely never applied: it may be tried again
    kUnknown,   // may or may not be applied: the deadline passed or the node stops
    kRefused,   // not taken at all: too many publishes wait
    kNoLeader,  // not taken at all: no leader was known until the deadline
  };
  Kind kind = Kind::kUnknown;
  ApplyResult result;
};
using PublishDone = std::function<void(PublishOutcome)>;

// How a request for a linearizable read ended.
enum class ReadOutcome {
  kReady,          // this member's state is at or past the read index: read it now
  kTimedOut,       // no quorum confirmed the leader, or apply lagged, until the deadline
  kNoLeader,       // no leader was known until the deadline
  kLeaderChanged,  // the leader that was asked is no longer one: try again
  kRefused,        // too many reads wait
  kStopped,
};
using ReadDone = std::function<void(ReadOutcome)>;

// A moment's view of the node. One immutable struct, so that term and leader belong together.
struct NodeStatus {
  NodeId self;
  Role role = Role::kFollower;
  Term term;
  NodeId leader;                                            // kNobody if none is known
  base::TimePoint leader_lost_at = base::TimePoint::min();  // when `leader` became nobody
  Index commit_index;
  Index applied_index;
  Index persisted_index;
  Index last_index;
};

struct NodeOptions {
  NodeId self;
  // The voters, self among them. (Membership changes are not there yet.)
  std::vector<NodeId> voters;
  base::Duration heartbeat_interval = std::chrono::milliseconds(100);
  // A leader is due after one to two of these.
  base::Duration election_timeout = std::chrono::milliseconds(1000);
  // Publishes, and reads, that wait in the inbox or for their outcome, at most; more are refused.
  size_t inbox_publishes_max = 20'000;
  size_t inbox_bytes_max = 64 << 20;
  // Entries that are committed but not applied, at most, before publishes are refused.
  uint64_t apply_gap_max = 5'000;
  // Commands in one AppendEntries (one entry at least), and messages that a peer has not answered.
  size_t append_bytes_max = 1 << 20;
  size_t in_flight_messages_max = 512;
  // Entries that are kept in memory for peers that lag.
  size_t log_cache_bytes_max = 64 << 20;
  uint64_t random_seed = 0;

  absl::Status Validate() const;
};

// What was found on disk at init.
struct NodeStart {
  HardState hard_state;
  // How often this data directory has been started; never given twice.
  uint64_t boot_count = 1;
  // The position the state machine stands at.
  LogPosition applied;
  // The log begins behind this place.
  LogPosition log_base;
  // The terms of the log as runs: (term, first index of it), ascending.
  std::vector<LogPosition> term_runs;
  Index last_index;
  // The entries behind `applied`, to be applied again once they are known to be committed.
  std::vector<EntryRef> tail;
};

class Node {
 public:
  // `log`, `promises`, `machine`, `transport` and `clock` must outlive the node.
  // `on_status` is called on the raft thread whenever role, term or leader changes.
  Node(const NodeOptions& options, NodeStart start, const base::Clock* clock, LogStore* log,
       PromiseStore* promises, StateMachine* machine, Transport* transport,
       std::function<void(const NodeStatus&)> on_status);
  // Stops first if it still runs.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void Start();
  // Ends the threads; what waits ends as kUnknown or kStopped. Idempotent.
  void Stop();

  // Takes a write down the publish path (DESIGN.md, section 4). `done` is called exactly once.
  // Never proposes twice. Threads: any.
  void Publish(std::string command, base::TimePoint deadline, PublishDone done);

  // Asks for the moment from which a local read is linearizable (thesis 6.4). `done` is called
  // exactly once. Threads: any.
  void ReadIndex(base::TimePoint deadline, ReadDone done);

  // Calls `done` on a read thread at once, for a read of what this member holds just now. Threads:
  // any.
  void LocalRead(ReadDone done);

  // Bytes from a peer's transport. Garbage is counted and dropped. Threads: any.
  void Receive(std::string bytes);

  // Threads: any.
  NodeStatus status() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raft
