// SPDX-License-Identifier: Apache-2.0

#include "raft/core/message.h"

#include <sstream>

namespace raft {
namespace {

struct Describer {
  std::ostream& out;

  void operator()(const RequestVote& m) {
    out << "{for=t" << m.for_term << " last=" << m.last_log << (m.transfer ? " transfer}" : "}");
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
    out << "{commit=" << m.leader_commit << " round=" << m.round;
    if (m.agreed.index != Index{}) out << " agreed=" << m.agreed.hash << "@" << m.agreed.index;
    out << "}";
  }
  void operator()(const HeartbeatReply& m) {
    out << "{round=" << m.round;
    if (m.digest.index != Index{}) out << " digest=" << m.digest.hash << "@" << m.digest.index;
    out << (m.needs_snapshot ? " needs snapshot}" : "}");
  }
  void operator()(const PublishForward& m) {
    out << "{";
    for (size_t i = 0; i < m.proposals.size(); ++i) {
      out << (i == 0 ? "" : " ") << "p" << m.proposals[i].id;
    }
    out << "}";
  }
  void operator()(const PublishRefusal& m) {
    out << "{" << RefusalText(m.reason);
    for (PublishId id : m.ids) out << " p" << id;
    out << "}";
  }
  void operator()(const ReadIndexRequest& m) { out << "{r" << m.id << "}"; }
  void operator()(const ReadIndexReply& m) { out << "{r" << m.id << " at=" << m.read_index << "}"; }
  void operator()(const TimeoutNow&) {}
};

}  // namespace

const char* RefusalText(RefusalReason reason) {
  static constexpr const char* kTexts[] = {
      "no leader",           "not the leader",       "too many",
      "configuration moved", "learner is not ready", "not one step"};
  return kTexts[static_cast<size_t>(reason)];
}

const char* MessageName(const Message& message) {
  static constexpr const char* kNames[] = {
      "RequestVote",      "RequestVoteReply", "AppendEntries",  "AppendEntriesReply",
      "Heartbeat",        "HeartbeatReply",   "PublishForward", "PublishRefusal",
      "ReadIndexRequest", "ReadIndexReply",   "TimeoutNow"};
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
