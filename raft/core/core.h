// SPDX-License-Identifier: Apache-2.0
//
// core.h: the Raft algorithm as a function with memory.
//
// Step() takes one event and adds what must be done to an Effects. There is no thread, lock,
// clock, disk or socket in it: time is an argument, randomness a seeded member. Its .cc files
// are named for the tasks of the algorithm:
//   core.cc         terms, the dispatch table (paper 5.1)
//   election.cc     election task, votes (paper 5.2, 5.4.1; thesis 9.6)
//   heartbeat.cc    heartbeat task, check-quorum (thesis 6.2)
//   publish.cc      the publish path's first step: a write gets its place in the log
//   replication.cc  the leader's side of AppendEntries, commit (paper 5.3, 5.4.2)
//   following.cc    the follower's side of AppendEntries
//   persistence.cc  what is durable here, and so what may be applied and counted
//   reading.cc      read index (thesis 6.4)
//   membership.cc   changes of the configuration, one at a time (thesis 4)
//   transfer.cc     a leader hands over (thesis 3.10), asked for or because its disk stalls
//   snapshot.cc     whole states that go and come, and the log that they make superfluous
//   state_check.cc  states that differ or are lost

#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "raft/core/configuration.h"
#include "raft/core/effects.h"
#include "raft/core/event.h"
#include "raft/core/log.h"
#include "raft/core/progress.h"
#include "raft/core/read_queue.h"

namespace raft {

struct CoreOptions {
  NodeId self;
  // Higher at each start of this node.
  Session session;
  // In force before any entry that says otherwise. Empty: this node joins a cluster and learns
  // from its log who is in it.
  Configuration configuration;
  // If not empty: the command of the configuration entry with which the first leader of a new
  // cluster begins the log.
  std::string bootstrap_command;
  base::Duration heartbeat_interval = std::chrono::milliseconds(100);
  // A leader is due after one to two of these.
  base::Duration election_timeout = std::chrono::milliseconds(1000);
  // Commands in one AppendEntries, and in all that a peer has not answered.
  size_t append_bytes_max = 1 << 20;
  size_t in_flight_bytes_max = 16 << 20;
  size_t in_flight_messages_max = 512;
  // Entries behind the commit index, at most, before publishes are refused.
  size_t uncommitted_bytes_max = 128 << 20;
  // Entries that are committed but not applied here, at most, before publishes are refused.
  uint64_t apply_gap_max = 5000;
  size_t log_cache_bytes_max = 64 << 20;
  uint64_t random_seed = 0;
};

// What was loaded from disk at init.
struct CoreStart {
  HardState hard_state;
  Log log;
  Index applied;
  // The configurations that were in force, by the index of their entry, ascending: that of the
  // state, then each that the log holds behind it. None: CoreOptions::configuration.
  std::vector<std::pair<Index, Configuration>> configurations;
  StateDigest digest;
  // There is no state that could be read: this node wants a leader's.
  bool state_lost = false;
};

// Why the commit index of a leader does not move.
enum class CommitWait : uint8_t {
  kNone,         // it moves, or there is nothing to commit
  kNoQuorum,     // too few voters are heard
  kOwnDisk,      // this node's disk does not finish a write
  kPeerDisk,     // a quorum is heard but does not acknowledge
  kSnapshot,     // voters that it needs are being sent a state
  kTransfer,     // leadership is being handed over
  kApply,        // it moves, but the state machine lags too far behind it
  kLearnerLags,  // it moves, but a learner is far behind
  kNoLeader      // this node knows no leader
};
const char* CommitWaitName(CommitWait wait);

class Core {
 public:
  // Every node starts as a follower, its leader due a random time after `now`.
  Core(CoreOptions options, CoreStart start, base::TimePoint now);

  // Feeds one event; adds what must be done to *effects. Several steps may share one Effects.
  void Step(base::TimePoint now, Event event, Effects* effects);

  // When a Tick is due: the next heartbeat on a leader, else leader due.
  base::TimePoint next_due() const;

  // Receives one line for each change of role or term.
  void set_trace(std::function<void(const std::string&)> trace) { trace_ = std::move(trace); }

  NodeId self() const { return options_.self; }
  Role role() const { return role_; }
  Term current_term() const { return hard_state_.current_term; }
  const HardState& hard_state() const { return hard_state_; }
  // The leader of the current term as far as known, else kNobody.
  NodeId leader() const { return leader_; }
  const Log& log() const { return log_; }
  Index commit_index() const { return commit_index_; }
  Index persisted_index() const { return persisted_index_; }
  Index last_handed_out() const { return handed_out_; }
  Index last_applied() const { return last_applied_; }
  // The newest in the log, committed or not (thesis 4.1), and the index of its entry, 0 for none.
  const Configuration& configuration() const { return configurations_.back().second; }
  Index configuration_index() const { return configurations_.back().first; }
  bool transferring() const { return transfer_.has_value(); }
  bool state_lost() const { return state_lost_; }
  // A leader has heard later lives, or another one of this number.
  bool outlived() const { return hard_state_.forgotten >= options_.session; }
  CommitWait commit_wait() const;
  // When the oldest write that is not durable yet was asked for.
  std::optional<base::TimePoint> oldest_write_at() const;
  const std::map<NodeId, Progress>& progress() const { return progress_; }

 private:
  friend void CheckInvariants(const Core& core);

  // core.cc
  void OnTick();
  void Receive(Envelope envelope);
  void ReceiveFromOlderTerm(const Envelope& envelope);
  void Dispatch(Envelope envelope);
  void BecomeFollower(Term term, NodeId leader);
  void EnterTerm(Term term, std::optional<NodeId> voted_for);
  void HearLeader(NodeId leader);
  void Trace(const std::string& line);
  void Send(NodeId to, Message message);
  void SendAfterPersist(NodeId to, Message message);
  void PersistHardState();
  void BeginWrite();
  base::Duration RandomElectionTimeout();
  base::Duration RandomUpTo(base::Duration limit);
  void Ignore(const Envelope&) {}

  // election.cc
  void ElectionTask();
  void StartPreVote();
  base::Duration NextTryIn();
  void StartElection(bool transfer);
  void BecomeLeader();
  bool HasLiveLeader() const;
  bool IsUpToDate(LogPosition last_log) const;
  void OnRequestVote(const Envelope& envelope);
  void OnRequestVoteReply(const Envelope& envelope);
  void CountVote(NodeId voter);

  // heartbeat.cc
  void HeartbeatTask();
  void BroadcastHeartbeat();
  void CheckQuorum();
  void OnHeartbeat(const Envelope& envelope);
  void OnHeartbeatReply(const Envelope& envelope);

  // publish.cc
  void OnPublish(Publish publish);
  std::optional<RefusalReason> RefuseProposal(const Proposal& proposal) const;
  void OnPublishForward(const Envelope& envelope);
  void RefuseForward(const Envelope& envelope);
  void OnPublishRefusal(const Envelope& envelope);
  void AppendOwn(EntryKind kind, NodeId origin, PublishId id, std::string command);
  bool HasRoom() const;

  // replication.cc
  void SendAppends();
  void SendAppends(NodeId peer, Progress* progress);
  bool SendEntries(NodeId peer, Progress* progress);
  void SendPosition(NodeId peer, Progress* progress);
  void SendFetched(NodeId peer, Progress* progress, std::vector<EntryRef> entries);
  bool WindowFull(const Progress& progress) const;
  Progress* HearPeer(const Envelope& envelope);
  void OnAppendEntriesReply(const Envelope& envelope);
  void OnFetched(Fetched fetched);
  void AdvanceCommit();

  // following.cc
  void OnAppendEntries(const Envelope& envelope);
  void AppendFromLeader(const std::vector<EntryRef>& entries);
  void CommitUpTo(Index index);

  // persistence.cc
  void OnPersisted(WriteNumber write);
  void DoubtIfForgotten(const Heartbeat& heartbeat);
  void ForgetLives(Session session);
  void Doubt(const char* why);
  void ClearDoubtIfWhole();
  void OnOwnFetched(const Fetched& fetched);
  void OnApplied(const Applied& applied);
  void HandOutCommitted();
  void TruncateFrom(Index first);

  // reading.cc
  void OnReadRequest(ReadId id);
  void OnReadIndexRequest(const Envelope& envelope);
  void OnReadIndexReply(const Envelope& envelope);
  void StartReadRoundIfDue();
  void FinishReadRoundIfConfirmed();
  void AnswerRead(const ReadQueue::Read& read, bool granted);
  bool CommittedInOwnTerm() const;

  // membership.cc
  std::optional<RefusalReason> RefuseConfiguration(const Proposal& proposal) const;
  void AdoptConfiguration(const Entry& entry);
  void CutConfigurations(Index first);
  void ShapeProgress();
  void LeaveIfRemoved();
  bool MayStand() const;

  // transfer.cc
  void OnTransferLeadership(NodeId to);
  NodeId BestSuccessor(bool heard) const;
  void SendTimeoutNowIfCaughtUp();
  void OnTimeoutNow(const Envelope& envelope);
  void TransferTask();
  bool DiskStalls() const;
  bool DiskLagsBehindOthers() const;
  void OnPeerLost(NodeId peer);

  // snapshot.cc
  void WishSnapshot(NodeId peer, Progress* progress);
  void OnSnapshotSent(const SnapshotSent& sent);
  void OnSnapshotArrived(const SnapshotArrived& arrived);
  void OnSnapshotInstalled(const SnapshotInstalled& installed);
  void OnStateFlushed(Index index);
  void OnLogReleased(LogPosition base);

  // state_check.cc
  void OnStateLost();
  void OnStoodStill(base::Duration length);
  void NoteDigest(NodeId node, StateDigest digest);
  void FindAgreedDigest(Index index);
  void CompareWithAgreed(StateDigest agreed);

  bool is_leader() const { return role_ == Role::kLeader; }

  CoreOptions options_;
  base::Random random_;
  std::function<void(const std::string&)> trace_;

  // Valid during a Step only.
  base::TimePoint now_;
  Effects* effects_ = nullptr;

  // What this node has promised; in memory it may be ahead of the disk, messages never are.
  HardState hard_state_;
  Log log_;
  // By the index of their entries, ascending; never empty.
  std::vector<std::pair<Index, Configuration>> configurations_;
  Role role_ = Role::kFollower;
  NodeId leader_;

  // The highest entry known to be on a quorum. Never falls.
  Index commit_index_;
  // The highest entry that is durable here. Falls only when the log is cut.
  Index persisted_index_;
  // Handed out to the state machine. Invariant: <= min(commit_index_, persisted_index_).
  Index handed_out_;
  // Invariant: <= handed_out_.
  Index last_applied_;

  // A write that is under way and the last entry of it that still is in the log.
  struct OutstandingWrite {
    WriteNumber number;
    Index last_index;
    // The term whose hard state it makes durable, if it does.
    std::optional<Term> hard_state_term;
    base::TimePoint asked_at;
  };
  std::deque<OutstandingWrite> outstanding_writes_;
  WriteNumber last_write_;

  // Follower: the time by which a leader must have been heard. Past it, the election task runs.
  base::TimePoint leader_due_;
  // OnStoodStill, since the leader was heard, or as leader since the quorum was checked.
  bool silence_forgiven_ = false;
  // When the leader of this term was heard last; for as long as it is fresh, votes are withheld.
  base::TimePoint leader_heard_at_ = base::TimePoint::min();
  // The leader may be gone (PeerLost): so many elections are tried in quick succession.
  int quick_tries_ = 0;
  // Follower: the highest index at which this log is known to equal the leader's of this term.
  Index matched_index_;
  // Follower: up to here the leader of this term, having heard this life, says it must hold all.
  Index told_commit_;

  // A snapshot is being installed: nothing is handed out before its end.
  bool installing_ = false;
  // Entries from here on were asked of this node's own disk, to be applied. 0: none are.
  Index fetching_own_;
  bool state_lost_ = false;
  // The digests of this state, the newest last, to be compared with what a quorum holds.
  std::deque<StateDigest> digests_;

  // The last term that this node led in, or may have led in before it was started.
  Term last_led_term_;

  // Candidates: who granted a vote of this kind in this term. A set, so that none counts twice.
  std::set<NodeId> votes_;

  // Leader: when the next heartbeat is to leave, and when a quorum must have answered again.
  base::TimePoint heartbeat_due_;
  base::TimePoint quorum_due_;
  std::map<NodeId, Progress> progress_;  // every other member
  ReadQueue reads_;
  size_t uncommitted_bytes_ = 0;
  // Leader: to whom it hands over, and when it gives that up.
  struct Transfer {
    NodeId to;
    base::TimePoint deadline;
    bool sent = false;
  };
  std::optional<Transfer> transfer_;
  base::TimePoint commit_moved_at_;
  // Leader: what each member's state holds, by index, for the newest indexes; what a quorum does.
  std::map<Index, std::map<NodeId, uint64_t>> member_digests_;
  StateDigest agreed_digest_;
};

// Ends the process when the state of `core` contradicts itself. Called in every test.
void CheckInvariants(const Core& core);

// What a step must not do: compared before and after it. Called in every test.
struct CoreView {
  HardState hard_state;
  Role role = Role::kFollower;
  NodeId leader;
  Index commit_index;
  Index handed_out;
  LogPosition last_log;

  static CoreView Of(const Core& core);
};
void CheckStep(const CoreView& before, const CoreView& after, const Effects& effects);

}  // namespace raft
