// SPDX-License-Identifier: Apache-2.0

#include "raft/core/core.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/canary.h"
#include "glog/logging.h"

namespace raft {

Core::Core(CoreOptions options, CoreStart start, base::TimePoint now)
    : options_(std::move(options)),
      random_(options_.random_seed),
      now_(now),
      hard_state_(start.hard_state),
      log_(std::move(start.log)),
      configurations_(std::move(start.configurations)),
      // What is gone from the front of the log was committed.
      commit_index_(std::max(start.applied, log_.base().index)),
      persisted_index_(log_.last().index),
      handed_out_(commit_index_),
      last_applied_(commit_index_),
      state_lost_(start.state_lost) {
  CHECK(options_.self != kNobody);
  if (configurations_.empty()) configurations_.push_back({Index{}, options_.configuration});
  if (start.digest.index != Index{}) digests_.push_back(start.digest);
  if (!state_lost_) CHECK_GE(start.applied, log_.base().index);
  CHECK_LE(start.applied, log_.last().index);
  // A term is durable before its first entry (persistence.cc), so the disk cannot hold less.
  CHECK_LE(log_.last().term, hard_state_.current_term);
  last_led_term_ = current_term();
  leader_due_ = now + RandomElectionTimeout();
  // Nobody else can be heard: there is nothing to wait for.
  if (configuration().voters() == std::vector<NodeId>{options_.self}) leader_due_ = now;
}

void Core::Step(base::TimePoint now, Event event, Effects* effects) {
  now_ = std::max(now, now_);
  effects_ = effects;
  struct Stepper {
    Core* core;
    void operator()(const Tick&) { core->OnTick(); }
    void operator()(Envelope& event) { core->Receive(std::move(event)); }
    void operator()(Publish& event) { core->OnPublish(std::move(event)); }
    void operator()(const Persisted& event) { core->OnPersisted(event.write); }
    void operator()(const Applied& event) { core->OnApplied(event); }
    void operator()(const ReadRequest& event) { core->OnReadRequest(event.id); }
    void operator()(Fetched& event) { core->OnFetched(std::move(event)); }
    void operator()(const TransferLeadership& event) { core->OnTransferLeadership(event.to); }
    void operator()(const PeerLost& event) { core->OnPeerLost(event.peer); }
    void operator()(const SnapshotArrived& event) { core->OnSnapshotArrived(event); }
    void operator()(const SnapshotInstalled& event) { core->OnSnapshotInstalled(event); }
    void operator()(const SnapshotSent& event) { core->OnSnapshotSent(event); }
    void operator()(const StateFlushed& event) { core->OnStateFlushed(event.index); }
    void operator()(const LogReleased& event) { core->OnLogReleased(event.base); }
    void operator()(const StateLost&) { core->OnStateLost(); }
    void operator()(const StoodStill& event) { core->OnStoodStill(event.length); }
  };
  std::visit(Stepper{this}, event);
  effects_ = nullptr;
}

void Core::OnTick() {
  if (is_leader()) {
    HeartbeatTask();
  } else if (now_ >= leader_due_) {
    ElectionTask();
  }
}

// Time in which this node could hear nothing and write nothing counts against nobody, and all get a
// moment to be heard: else a machine that is paused elects whenever it goes on.
void Core::OnStoodStill(base::Duration length) {
  for (OutstandingWrite& write : outstanding_writes_) write.asked_at += length;
  commit_moved_at_ += length;
  // Once: who is always late, for want of a processor, must not wait for ever.
  if (std::exchange(silence_forgiven_, true)) return;
  if (is_leader()) {
    quorum_due_ = now_ + options_.election_timeout;
  } else if (leader_ != kNobody && leader_heard_at_ != base::TimePoint::min()) {
    leader_heard_at_ += length;
    const base::Duration moment = options_.election_timeout / 2;
    leader_due_ = std::max(leader_due_, now_ + moment + RandomUpTo(moment));
  }
}

base::TimePoint Core::next_due() const {
  if (is_leader()) return std::min(heartbeat_due_, quorum_due_);
  return MayStand() ? leader_due_ : base::kForever;
}

void Core::Receive(Envelope envelope) {
  // Thesis 4.1: whether the sender is in this node's configuration does not matter. One that was
  // added is perhaps not known here yet; that it is who it says is the transport's business.
  if (envelope.to != options_.self || envelope.from == options_.self) return;

  if (envelope.term > current_term()) {
    // Thesis 4.2.3: a server that hears a live leader does not let a candidate raise its term,
    // unless that leader asked the candidate to stand.
    const auto* vote = std::get_if<RequestVote>(&envelope.message);
    if (vote != nullptr && !vote->transfer && HasLiveLeader()) return;
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
      {&Core::OnTimeoutNow, kIgnore, kIgnore, kIgnore},
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
    member_digests_.clear();
    transfer_.reset();
  }
  if (term > current_term()) {
    EnterTerm(term, std::nullopt);
    leader_heard_at_ = base::TimePoint::min();
  }
  if (base::Planted("vote-erased-on-step-down")) hard_state_.voted_for.reset();
  role_ = Role::kFollower;
  leader_ = leader;
  votes_.clear();
  leader_due_ = now_ + RandomElectionTimeout();
  if (changes) Trace("becomes follower");
}

// Paper, figure 2: a new term has no vote yet, or one's own.
void Core::EnterTerm(Term term, std::optional<NodeId> voted_for) {
  hard_state_.current_term = term;
  hard_state_.voted_for = voted_for;
  PersistHardState();
  matched_index_ = Index{};
  told_commit_ = Index{};
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
  quick_tries_ = 0;
  leader_heard_at_ = now_;
  silence_forgiven_ = false;
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
  return options_.election_timeout + RandomUpTo(options_.election_timeout);
}

base::Duration Core::RandomUpTo(base::Duration limit) {
  return base::Duration(
      static_cast<int64_t>(random_.Between(0, static_cast<uint64_t>(limit.count()))));
}

}  // namespace raft
