// SPDX-License-Identifier: Apache-2.0

#include "raft/core/message.h"

#include <sstream>

namespace raft {
namespace {

struct Describer {
  std::ostream& out;

  void operator()(const RequestVote& m) {
    out << "{for=t" << m.for_term << " last=" << m.last_log << "}";
  }
  void operator()(const RequestVoteReply& m) {
    out << "{for=t" << m.for_term << (m.granted ? " granted}" : " refused}");
  }
  void operator()(const AppendEntries& m) {
    out << "{prev=" << m.prev_log;
    if (!m.entries.empty()) {
      out << " entries=" << m.entries.front()->position() << ".." << m.entries.back()->position();
    }
    out << " commit=" << m.leader_commit << "}";
  }
  void operator()(const AppendEntriesReply& m) {
    if (m.success) {
      out << "{match=" << m.match_index << "}";
    } else {
      out << "{rejected=" << m.rejected_index << " conflict=" << m.conflict << "}";
    }
  }
  void operator()(const Heartbeat& m) {
    out << "{commit=" << m.leader_commit << " round=" << m.round << "}";
  }
  void operator()(const HeartbeatReply& m) { out << "{round=" << m.round << "}"; }
  void operator()(const PublishForward& m) {
    out << "{";
    for (size_t i = 0; i < m.proposals.size(); ++i) {
      out << (i == 0 ? "" : " ") << "p" << m.proposals[i].id;
    }
    out << "}";
  }
  void operator()(const PublishRefusal& m) {
    out << "{";
    for (size_t i = 0; i < m.ids.size(); ++i) out << (i == 0 ? "" : " ") << "p" << m.ids[i];
    out << "}";
  }
  void operator()(const ReadIndexRequest& m) { out << "{r" << m.id << "}"; }
  void operator()(const ReadIndexReply& m) { out << "{r" << m.id << " at=" << m.read_index << "}"; }
};

}  // namespace

const char* MessageName(const Message& message) {
  static constexpr const char* kNames[] = {
      "RequestVote",      "RequestVoteReply", "AppendEntries",  "AppendEntriesReply",
      "Heartbeat",        "HeartbeatReply",   "PublishForward", "PublishRefusal",
      "ReadIndexRequest", "ReadIndexReply"};
  static_assert(std::size(kNames) == std::variant_size_v<Message>);
  if (const auto* vote = std::get_if<RequestVote>(&message)) {
    return vote->pre_vote ? "PreVote" : "RequestVote";
  }
  if (const auto* reply = std::get_if<RequestVoteReply>(&message)) {
    return reply->pre_vote ? "PreVoteReply" : "RequestVoteReply";
  }
  return kNames[message.index()];
}

std::string Describe(const Message& message) {
  std::ostringstream out;
  out << MessageName(message);
  std::visit(Describer{out}, message);
  return out.str();
}

}  // namespace raft
