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

// One life of a node's process: its boot count.
using Session = base::StrongNumber<struct SessionTag>;

// A write on its way to the leader.
struct Proposal {
  PublishId id;
  std::string command;
};

// RequestVote RPC (paper, figure 2), and its rehearsal, the pre-vote (thesis 9.6).
struct RequestVote {
  bool pre_vote = false;
  // The term the vote is asked for: the envelope's, or one more in a pre-vote.
  Term for_term;
  LogPosition last_log;
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
};

struct HeartbeatReply {
  ReadRound round;
};

// A follower's publishes, sent to the leader of the envelope's term and valid in no other.
struct PublishForward {
  std::vector<Proposal> proposals;
};

// None of these were taken: they are surely not in the log. Either the receiver does not lead in
// the term they were sent in, or too many wait already.
struct PublishRefusal {
  bool too_many = false;
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

using Message =
    std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, Heartbeat,
                 HeartbeatReply, PublishForward, PublishRefusal, ReadIndexRequest, ReadIndexReply>;

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
