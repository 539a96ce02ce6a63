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
#include "raft/core/core.h"
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
    // Of ChangeConfiguration, not taken at all:
    kConfigurationChanged,  // computed from one that is not the newest, or none may change yet
    kLearnerNotReady,       // the learner to be promoted lags
    kBadConfiguration,      // not one step from the newest
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
  // Why the commit index does not move, as far as this member can tell.
  CommitWait commit_wait = CommitWait::kNone;
  // This member forgot part of its log and does not vote until it is whole again.
  bool doubtful = false;
  // Its directory is an older copy of itself. Nobody hears what this life of it says: it should
  // end, and the next one catches up, in doubt.
  bool outlived = false;
  // Its state is lost and is being replaced.
  bool state_lost = false;
  bool is_learner = false;
  bool transferring = false;
};

struct NodeOptions {
  NodeId self;
  // The voters of a cluster that begins; empty for a member that joins one.
  std::vector<NodeId> voters;
  // The command of the first entry of a cluster that begins (raft/core/configuration.h): who is in
  // it, so that members that join later learn it from the log. Empty: none is written.
  std::string bootstrap_command;
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
  // A write that the disk has not finished for so long ends the process. 0: never.
  base::Duration disk_stall_max = std::chrono::seconds(20);
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
  // The configuration that the state holds, by the index of its entry (0 if none), then those that
  // the log holds behind it. Empty: NodeOptions::voters.
  std::vector<std::pair<Index, Configuration>> configurations;
  StateDigest digest;
  // The state could not be read: a leader's is wanted. `applied` is of no meaning then.
  bool state_lost = false;
};

// What a node works with; all outlive it.
struct NodePorts {
  const base::Clock* clock;
  LogStore* log;
  PromiseStore* promises;
  StateMachine* machine;
  Transport* transport;
  SnapshotTransport* snapshots;
};

class Node {
 public:
  // `on_status` is called on the raft thread whenever role, term or leader changes.
  Node(const NodeOptions& options, NodeStart start, const NodePorts& ports,
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

  // As Publish, for an entry of kind kConfiguration. `based_on` is the index of the configuration
  // entry that it was computed from; if that is not the newest, nothing is done.
  void ChangeConfiguration(std::string command, Index based_on, base::TimePoint deadline,
                           PublishDone done);

  // If this node leads: hands over to `to`, or to whoever can best if nobody is named. Threads:
  // any.
  void TransferLeadership(NodeId to);

  // Reports of the server (raft/core/event.h has their meaning). Threads: any.
  void Report(PeerLost report);
  void Report(SnapshotArrived report);
  void Report(StateFlushed report);
  void Report(StateLost report);

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
