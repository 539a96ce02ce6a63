// SPDX-License-Identifier: Apache-2.0
//
// sample_messages.h: one envelope of each message, every field set, and small ones.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "raft/core/message.h"

namespace raft {

inline EntryRef SampleEntry(uint64_t term, uint64_t index, std::string command) {
  auto entry = std::make_shared<Entry>();
  entry->term = Term(term);
  entry->index = Index(index);
  entry->origin = NodeId(0xfedcba9876543210);
  entry->publish_id = PublishId(index + 1000);
  entry->command = std::move(command);
  return entry;
}

inline std::vector<Envelope> SampleMessages() {
  const LogPosition position{Term(3), Index(41)};
  auto start = std::make_shared<Entry>();
  start->term = Term(5);
  start->index = Index(43);
  start->kind = EntryKind::kLeaderStart;
  const std::string binary("\0\xff zero and more", 16);
  std::vector<Message> messages = {
      RequestVote{true, Term(8), position},
      RequestVote{false, Term(7), {}, true},
      RequestVoteReply{true, Term(8), true},
      RequestVoteReply{},
      AppendEntries{position, Index(40), {SampleEntry(4, 42, binary), start}},
      AppendEntries{},
      AppendEntriesReply{true, Index(44), Index(0), {}},
      AppendEntriesReply{false, Index(0), Index(44), position},
      Heartbeat{Index(40),
                ReadRound(12),
                {Index(1024), ~uint64_t{0}},
                Session(9),
                {Term(6), Index(44)},
                Session(8)},
      HeartbeatReply{ReadRound(12), {Index(2048), 7}, true},
      PublishForward{
          {{PublishId(1), binary}, {PublishId(2), "", EntryKind::kConfiguration, Index(6)}}},
      PublishForward{},
      PublishRefusal{RefusalReason::kTooMany, {PublishId(1), PublishId(1ull << 63)}},
      ReadIndexRequest{ReadId(77)},
      ReadIndexReply{ReadId(77), Index(40)},
      TimeoutNow{},
  };
  std::vector<Envelope> envelopes;
  for (Message& message : messages) {
    envelopes.push_back({NodeId(~uint64_t{0}), NodeId(2), Term(7), Session(9), std::move(message)});
  }
  return envelopes;
}

}  // namespace raft
