// SPDX-License-Identifier: Apache-2.0

#include "raft/core/core.h"

#include <algorithm>
#include <sstream>

#include "base/canary.h"
#include "glog/logging.h"

namespace raft {

Core::Core(CoreOptions options, CoreStart start, base::TimePoint now)
    : options_(std::move(options)),
      random_(options_.random_seed),
      now_(now),
      hard_state_(start.hard_state),
      log_(std::move(start.log)),
      commit_index_(start.applied),
      persisted_index_(log_.last().index),
      handed_out_(start.applied),
      last_applied_(start.applied) {
  CHECK(options_.self != kNobody);
  CHECK_LE(start.applied, log_.last().index);
  // A term is durable before its first entry (persistence.cc), so the disk cannot hold less.
  CHECK_LE(log_.last().term, hard_state_.current_term);
  last_led_term_ = current_term();
  leader_due_ = now + RandomElectionTimeout();
  // Nobody else can be heard: there is nothing to wait for.
  if (options_.configuration.voters() == std::vector<NodeId>{options_.self}) leader_due_ = now;
}

void Core::Step(base::TimePoint now, Event event, Effects* effects) {
  now_ = std::max(now, now_);
  effects_ = effects;
  if (std::holds_alternative<Tick>(event)) {
    if (is_leader()) {
      HeartbeatTask();
    } else if (now_ >= leader_due_) {
      ElectionTask();
    }
  } else if (auto* envelope = std::get_if<Envelope>(&event)) {
    Receive(std::move(*envelope));
  } else if (auto* publish = std::get_if<Publish>(&event)) {
    OnPublish(std::move(*publish));
  } else if (auto* persisted = std::get_if<Persisted>(&event)) {
    OnPersisted(persisted->write);
  } else if (auto* applied = std::get_if<Applied>(&event)) {
    OnApplied(applied->index);
  } else if (auto* read = std::get_if<ReadRequest>(&event)) {
    OnReadRequest(read->id);
  } else if (auto* fetched = std::get_if<Fetched>(&event)) {
    OnFetched(std::move(*fetched));
  }
  effects_ = nullptr;
}

base::TimePoint Core::next_due() const {
  if (is_leader()) return std::min(heartbeat_due_, quorum_due_);
  return options_.configuration.IsVoter(options_.self) ? leader_due_ : base::kForever;
}

void Core::Receive(Envelope envelope) {
  if (envelope.to != options_.self || envelope.from == options_.self) return;
  if (!options_.configuration.IsVoter(envelope.from)) return;

  const bool asks_for_vote = std::holds_alternative<RequestVote>(envelope.message);
  if (envelope.term > current_term()) {
    // Thesis 4.2.3: a server that hears a live leader does not let a candidate raise its term.
    if (asks_for_vote && HasLiveLeader()) return;
    // Paper 5.1: if a message's term is larger, adopt it and become a follower.
    BecomeFollower(envelope.term, kNobody);
  }
  if (envelope.term < current_term()) {
    ReceiveFromOlderTerm(envelope);
  } else {
    Dispatch(std::move(envelope));
  }
}

// Paper 5.1: a request with a stale term is rejected. The answer carries the newer term, by which
// a leader or candidate of the past learns that it is one, even if it could not win a pre-vote
// against this member itself (etcd-io/raft's "free stuck candidate").
void Core::ReceiveFromOlderTerm(const Envelope& envelope) {
  if (const auto* vote = std::get_if<RequestVote>(&envelope.message)) {
    SendAfterPersist(envelope.from, RequestVoteReply{vote->pre_vote, vote->for_term, false});
  } else if (std::holds_alternative<AppendEntries>(envelope.message) ||
             std::holds_alternative<Heartbeat>(envelope.message)) {
    SendAfterPersist(envelope.from, HeartbeatReply{});
  } else if (std::holds_alternative<PublishForward>(envelope.message)) {
    RefuseForward(envelope);
  }
}

// One row a message, one column a role. Every cell is filled: what a role has no use for is
// ignored by name.
void Core::Dispatch(Envelope envelope) {
  using Handler = void (Core::*)(const Envelope&);
  static constexpr Handler kIgnore = &Core::Ignore;
  static constexpr Handler kTable[][4] = {
      // follower, pre-candidate, candidate, leader
      {&Core::OnRequestVote, &Core::OnRequestVote, &Core::OnRequestVote, &Core::OnRequestVote},
      {kIgnore, &Core::OnRequestVoteReply, &Core::OnRequestVoteReply, kIgnore},
      {&Core::OnAppendEntries, &Core::OnAppendEntries, &Core::OnAppendEntries, kIgnore},
      {kIgnore, kIgnore, kIgnore, &Core::OnAppendEntriesReply},
      {&Core::OnHeartbeat, &Core::OnHeartbeat, &Core::OnHeartbeat, kIgnore},
      {kIgnore, kIgnore, kIgnore, &Core::OnHeartbeatReply},
      {&Core::OnPublishForward, &Core::OnPublishForward, &Core::OnPublishForward,
       &Core::OnPublishForward},
      {&Core::OnPublishRefusal, &Core::OnPublishRefusal, &Core::OnPublishRefusal,
       &Core::OnPublishRefusal},
      {kIgnore, kIgnore, kIgnore, &Core::OnReadIndexRequest},
      {&Core::OnReadIndexReply, kIgnore, kIgnore, kIgnore},
  };
  static_assert(std::size(kTable) == std::variant_size_v<Message>);

  const Handler handler = kTable[envelope.message.index()][static_cast<size_t>(role_)];
  (this->*handler)(envelope);
}

// Enters `term` as a follower. A vote is forgotten only with its term (CCF#8094 forgot it on a
// step-down within the term, and voted twice).
void Core::BecomeFollower(Term term, NodeId leader) {
  CHECK_GE(term, current_term());
  const bool changes = role_ != Role::kFollower || term != current_term();
  if (is_leader()) {
    for (const ReadQueue::Read& read : reads_.Abandon()) AnswerRead(read, false);
    progress_.clear();
  }
  if (term > current_term()) {
    hard_state_ = {term, std::nullopt};
    PersistHardState();
    matched_index_ = Index{};
    leader_heard_at_ = base::TimePoint::min();
  }
  role_ = Role::kFollower;
  leader_ = leader;
  votes_.clear();
  leader_due_ = now_ + RandomElectionTimeout();
  if (changes) Trace("becomes follower");
}

// A valid message of the term's leader: paper 5.2, a candidate returns to follower; leader due
// is set anew.
void Core::HearLeader(NodeId leader) {
  CHECK(!is_leader());
  // Paper 5.2, election safety: two leaders in one term cannot be.
  if (leader_ != kNobody) CHECK_EQ(leader_, leader);
  if (role_ != Role::kFollower) {
    BecomeFollower(current_term(), leader);
  }
  leader_ = leader;
  leader_heard_at_ = now_;
  leader_due_ = now_ + RandomElectionTimeout();
}

void Core::Trace(const std::string& line) {
  if (!trace_) return;
  std::ostringstream out;
  out << "n" << options_.self << " t" << current_term() << " " << line;
  trace_(out.str());
}

void Core::Send(NodeId to, Message message) {
  effects_->send_now.push_back(
      {options_.self, to, current_term(), options_.session, std::move(message)});
}

void Core::SendAfterPersist(NodeId to, Message message) {
  if (base::Planted("ack-before-fsync") && std::holds_alternative<AppendEntriesReply>(message)) {
    return Send(to, std::move(message));
  }
  effects_->send_after_persist.push_back(
      {options_.self, to, current_term(), options_.session, std::move(message)});
}

base::Duration Core::RandomElectionTimeout() {
  const auto base_timeout = static_cast<uint64_t>(options_.election_timeout.count());
  return base::Duration(static_cast<int64_t>(random_.Between(base_timeout, 2 * base_timeout)));
}

}  // namespace raft
