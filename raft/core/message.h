// SPDX-License-Identifier: Apache-2.0
//
// message.h: what members say to each other.
//
// Every message travels in an Envelope that carries its sender's current term, so that the rule
// "if a term is larger, adopt it" (paper 5.1) is coded once, in Core::Receive.

#pragma once

#include <string>
#include <variant>
#include <vector>

#include "raft/core/types.h"

namespace raft {

// Names one wish to read of one node for ever, as PublishId does for writes.
using ReadId = base::StrongNumber<struct ReadIdTag>;
// One confirmation of leadership. Counted up by each leader within its term, never used again.
using ReadRound = base::StrongNumber<struct ReadRoundTag>;

// A write on its way to the leader: a command or a change of the configuration.
struct Proposal {
  PublishId id;
  std::string command;
  EntryKind kind = EntryKind::kCommand;
  // Configurations: the index of the configuration that this one was computed from.
  Index based_on;
};

// Why a publish was not taken. It is surely in no log.
enum class RefusalReason : uint8_t {
  kNoLeader,              // none is known here
  kNotLeader,             // it was sent to a member that does not lead in that term
  kTooMany,               // too much waits already
  kConfigurationChanged,  // it is not the newest any more, or not applied, or none may change yet
  kLearnerNotReady,       // the learner to be promoted lags
  kBadConfiguration       // not one step from the newest
};
const char* RefusalText(RefusalReason reason);

// RequestVote RPC (paper, figure 2), and its rehearsal, the pre-vote (thesis 9.6).
struct RequestVote {
  bool pre_vote = false;
  // The term the vote is asked for: the envelope's, or one more in a pre-vote.
  Term for_term;
  LogPosition last_log;
  // The leader itself asked the sender to stand (thesis 3.10): a live leader is no reason to
  // refuse.
  bool transfer = false;
};

struct RequestVoteReply {
  bool pre_vote = false;
  Term for_term;
  bool granted = false;
};

// AppendEntries RPC (paper, figure 2). Without entries it asks whether the logs agree at
// prev_log and tells the commit index.
struct AppendEntries {
  LogPosition prev_log;
  Index leader_commit;
  std::vector<EntryRef> entries;
};

struct AppendEntriesReply {
  bool success = false;
  // On success: all up to here is in the follower's log, durably, and equals the leader's.
  Index match_index;
  // On rejection: the prev_log.index that was refused, so that a stray reply is known as such.
  Index rejected_index;
  // On rejection: the follower's last position that can agree (thesis 4, fast backtracking).
  LogPosition conflict;
};

// Keeps a leader a leader and tells the others who leads. Proves nothing about logs.
struct Heartbeat {
  Index leader_commit;
  // The confirmation round that the leader runs; its reply confirms this round and older ones.
  ReadRound round;
  // What a quorum of states holds; a member whose state differs there is wrong.
  StateDigest agreed;
  // The life of the receiver that the leader has heard: what an earlier one said counts no more.
  Session heard_session;
  // The last that the receiver has acknowledged to this leader, and in which of its lives: it
  // stands in its log, or its disk has lost what it had promised to keep.
  LogPosition acknowledged;
  Session acknowledged_in;
};

struct HeartbeatReply {
  ReadRound round;
  // The newest digest of this member's state.
  StateDigest digest;
  // Its state is lost: it wants the leader's.
  bool needs_snapshot = false;
};

// A follower's publishes, sent to the leader of the envelope's term and valid in no other.
struct PublishForward {
  std::vector<Proposal> proposals;
};

// None of these were taken: they are surely not in the log.
struct PublishRefusal {
  RefusalReason reason = RefusalReason::kNotLeader;
  std::vector<PublishId> ids;
};

// A follower asks the leader for a read index (thesis 6.4).
struct ReadIndexRequest {
  ReadId id;
};

struct ReadIndexReply {
  ReadId id;
  Index read_index;
};

// The leader hands over to the receiver: stand at once (thesis 3.10).
struct TimeoutNow {};

using Message = std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply,
                             Heartbeat, HeartbeatReply, PublishForward, PublishRefusal,
                             ReadIndexRequest, ReadIndexReply, TimeoutNow>;

const char* MessageName(const Message& message);

struct Envelope {
  NodeId from;
  NodeId to;
  // The sender's current term.
  Term term;
  // Which life of the sender this is, counted up at each start: what a peer said before it was
  // started anew may no longer hold.
  Session session;
  Message message;
};

// One line for traces and golden transcripts, such as "AppendEntries{prev=1/3 n=2 commit=3}".
std::string Describe(const Message& message);

}  // namespace raft
