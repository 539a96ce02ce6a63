// SPDX-License-Identifier: Apache-2.0

#include "server/lease_keeper.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/canary.h"
#include "base/random.h"
#include "glog/logging.h"
#include "proto/etcd/raft_internal.pb.h"
#include "server/errors.h"

namespace server {
namespace {

using datum::peer::LeaseKeepAliveAnswers;
using datum::peer::LeaseKeepAliveBatch;
using datum::peer::LeaseRoundResponse;

// Keep-alives that have no answer, on one member.
constexpr size_t kUnansweredMax = 200'000;
// Batches on their way to the leader at a time, and keep-alives in one.
constexpr size_t kForwardsMax = 4;
constexpr size_t kForwardLeasesMax = 4096;
// After a leader has not answered, or is not one.
constexpr base::Duration kForwardPause = std::chrono::milliseconds(50);
// The queue is looked through for what nobody waits for any more no more often than this.
constexpr base::Duration kDropPause = std::chrono::milliseconds(20);
constexpr base::Duration kIdlePause = std::chrono::seconds(1);

constexpr int64_t kNobodyCanTell = -1;

LeaseLeaderOptions LeaderOptions(const LeaseKeeper::Parts& parts) {
  LeaseLeaderOptions options;
  options.self = raft::NodeId(parts.peers->identity().self);
  options.cluster_id = parts.peers->identity().cluster_id;
  options.gather_patience = parts.election_timeout / 2;
  return options;
}

}  // namespace

LeaseKeeper::LeaseKeeper(const Parts& parts)
    : parts_(parts), session_(base::EntropySeed()), leader_(LeaderOptions(parts), &book_) {}

void LeaseKeeper::Load(const store::LeaseTtls& leases) {
  std::lock_guard lock(mutex_);
  book_.Load(leases, parts_.clock->Now());
  session_ = base::EntropySeed();
  WakeLocked();
}

void LeaseKeeper::OnCommit(std::span<const store::WriteOperation> batch,
                           const store::AppliedRecord& numbers) {
  std::vector<store::LeaseChange> changes;
  store::ForEachLeaseChange(batch,
                            [&](const store::LeaseChange& change) { changes.push_back(change); });
  std::lock_guard lock(mutex_);
  const bool new_term = numbers.applied.term != applied_term_;
  applied_term_ = numbers.applied.term;
  if (changes.empty() && !new_term) return;
  const base::TimePoint now = parts_.clock->Now();
  for (const store::LeaseChange& change : changes) book_.Apply(change, now);
  WakeLocked();
}

void LeaseKeeper::Wake() {
  std::lock_guard lock(mutex_);
  WakeLocked();
}

void LeaseKeeper::WakeLocked() {
  if (woken_) return;
  woken_ = true;
  wake_.notify_one();
}

void LeaseKeeper::KeepAlive(int64_t lease, base::TimePoint deadline, KeepAliveDone done) {
  WireError refused;
  {
    std::lock_guard lock(mutex_);
    if (!stopping_ && unanswered_ < kUnansweredMax) {
      ++unanswered_;
      queue_.push_back({.lease = lease, .deadline = deadline, .done = std::move(done)});
      return WakeLocked();
    }
    refused = stopping_ ? WireError::kStopped : WireError::kTooManyRequests;
  }
  done(ErrorStatus(refused));
}

void LeaseKeeper::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    RunOnce();
    lock.lock();
    const base::TimePoint now = parts_.clock->Now();
    wake_.wait_for(lock, NextDue(now) - now, [this] { return woken_ || stopping_; });
  }
}

void LeaseKeeper::RunOnce() {
  Work work;
  {
    std::lock_guard lock(mutex_);
    woken_ = false;
    if (!stopping_) work = Plan(parts_.clock->Now());
  }
  Perform(std::move(work));
}

base::TimePoint LeaseKeeper::NextDue(base::TimePoint now) const {
  base::TimePoint due = std::min(now + kIdlePause, leader_.next_due());
  if (!queue_.empty()) due = std::min(due, std::max(forward_after_, now + kForwardPause / 5));
  if (!later_.empty()) due = std::min(due, later_.begin()->first);
  return due;
}

LeaseKeeper::Work LeaseKeeper::Plan(base::TimePoint now) {
  Work work;
  const raft::NodeStatus status = parts_.replica->status();
  const bool leads = status.leader == status.self && status.role == raft::Role::kLeader;
  if (leads && parts_.state->applied_term() == status.term) {
    if (leader_.term() != status.term) {
      LOG(INFO) << "keeps the time of " << book_.size() << " leases in term " << status.term
                << (book_.forgetful() ? ", having forgotten renewals" : "");
    }
    leader_.Lead(status.term, Voters(), now);
  } else {
    for (Renewal& renewal : leader_.StopLeading()) queue_.push_back(std::move(renewal));
  }
  work.term = leader_.term();
  for (const Answer& answer : answers_) {
    leader_.OnAnswer(answer.from, answer.term, answer.number, answer.response, now);
  }
  for (const Ended& ended : ended_) leader_.OnExpiryEnded(ended.term, ended.lease, now);
  answers_.clear();
  ended_.clear();
  if (leader_.leads()) {
    for (Renewal& renewal : queue_) leader_.Add(std::move(renewal));
    queue_.clear();
    leader_.Advance(now, &work.effects);
  } else if (!leads) {
    PlanForwarding(status.leader, now, &work);
  }
  while (!later_.empty() && later_.begin()->first <= now) {
    work.calls.push_back(std::move(later_.begin()->second));
    later_.erase(later_.begin());
  }
  return work;
}

void LeaseKeeper::PlanForwarding(raft::NodeId leader, base::TimePoint now, Work* work) {
  DropFromQueue(now, work);
  if (leader == raft::kNobody || now < forward_after_ || forwards_ >= kForwardsMax) return;
  while (!queue_.empty() && work->forward.size() < kForwardLeasesMax) {
    Renewal renewal = std::move(queue_.front());
    queue_.pop_front();
    if (renewal.forwarded) {
      work->effects.answered.push_back({std::move(renewal), ErrorStatus(WireError::kNotLeader)});
    } else {
      work->forward.push_back(std::move(renewal));
    }
  }
  work->forward_to = leader;
  if (!work->forward.empty()) ++forwards_;
}

void LeaseKeeper::DropFromQueue(base::TimePoint now, Work* work) {
  if (now < drop_due_) return;
  drop_due_ = now + kDropPause;
  std::deque<Renewal> still;
  for (Renewal& renewal : queue_) {
    if (renewal.forwarded) {
      work->effects.answered.push_back({std::move(renewal), ErrorStatus(WireError::kNotLeader)});
    } else if (now >= renewal.deadline) {
      work->effects.answered.push_back({std::move(renewal), ErrorStatus(WireError::kTimeout)});
    } else {
      still.push_back(std::move(renewal));
    }
  }
  queue_.swap(still);
}

std::set<raft::NodeId> LeaseKeeper::Voters() const {
  const raft::Configuration configuration = parts_.state->membership().configuration();
  return {configuration.voters().begin(), configuration.voters().end()};
}

void LeaseKeeper::Perform(Work work) {
  for (LeaseLeader::Question& question : work.effects.questions) {
    AskPeer(std::move(question), work.term);
  }
  for (auto& [renewal, ttl] : work.effects.answered) Finish(std::move(renewal), std::move(ttl));
  for (const int64_t lease : work.effects.expire) ProposeEnd(lease, work.term);
  if (!work.effects.unknown.empty()) LookAgain(std::move(work.effects.unknown));
  if (!work.forward.empty()) Forward(std::move(work.forward), work.forward_to);
  for (const std::function<void()>& call : work.calls) call();
}

void LeaseKeeper::Finish(Renewal renewal, absl::StatusOr<int64_t> ttl) {
  {
    std::lock_guard lock(mutex_);
    --unanswered_;
  }
  renewal.done(std::move(ttl));
}

rpc::UnaryClient* LeaseKeeper::ClientOf(raft::NodeId member) {
  const std::string address = parts_.peers->AddressOf(member.value());
  if (address.empty()) return nullptr;
  std::lock_guard lock(mutex_);
  std::unique_ptr<rpc::UnaryClient>& client = clients_[address];
  if (client == nullptr) client = std::make_unique<rpc::UnaryClient>(address);
  return client.get();
}

void LeaseKeeper::AskPeer(LeaseLeader::Question question, raft::Term term) {
  const auto done = [this, to = question.to, number = question.number,
                     term](absl::StatusOr<std::string> bytes) {
    Answer answer{to, term, number, absl::DataLossError("the answer is none")};
    LeaseRoundResponse response;
    if (!bytes.ok()) answer.response = bytes.status();
    if (bytes.ok() && response.ParseFromString(*bytes)) answer.response = std::move(response);
    std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
    WakeLocked();
  };
  rpc::UnaryClient* const client = ClientOf(question.to);
  if (client == nullptr) return done(absl::UnavailableError("its address is not known"));
  client->Call(kLeaseRoundMethod, question.request.SerializeAsString(), parts_.election_timeout,
               done);
}

void LeaseKeeper::ProposeEnd(int64_t lease, raft::Term term) {
  if (base::Planted("lease-end-not-proposed")) return;
  etcdserverpb::InternalRaftRequest request;
  request.mutable_lease_revoke()->set_id(lease);
  // What another leader acknowledged since is not known here: in its term this must do nothing.
  request.set_in_term(term.value());
  parts_.replica->Publish(request.SerializeAsString(),
                          parts_.clock->Now() + 5 * parts_.election_timeout,
                          [this, lease, term](const raft::PublishOutcome&) {
                            std::lock_guard lock(mutex_);
                            ended_.push_back({term, lease});
                            WakeLocked();
                          });
}

void LeaseKeeper::LookAgain(std::vector<Renewal> renewals) {
  auto shared = std::make_shared<std::vector<Renewal>>(std::move(renewals));
  base::TimePoint deadline = base::TimePoint::min();
  for (const Renewal& renewal : *shared) deadline = std::max(deadline, renewal.deadline);
  parts_.replica->ReadIndex(deadline, [this, shared](raft::ReadOutcome outcome) {
    const bool ready = outcome == raft::ReadOutcome::kReady;
    const bool elsewhere =
        outcome == raft::ReadOutcome::kLeaderChanged || outcome == raft::ReadOutcome::kNoLeader;
    for (Renewal& renewal : *shared) {
      renewal.looked_again = ready;
      if (!ready && !elsewhere) Finish(std::move(renewal), FromRead(outcome));
    }
    if (ready || elsewhere) GiveBack(std::move(*shared), base::Duration::zero());
  });
}

void LeaseKeeper::GiveBack(std::vector<Renewal> renewals, base::Duration pause) {
  std::vector<Renewal> stopped;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) {
      stopped.swap(renewals);
    } else {
      for (Renewal& renewal : renewals) queue_.push_back(std::move(renewal));
      if (pause > base::Duration::zero()) forward_after_ = parts_.clock->Now() + pause;
      WakeLocked();
    }
  }
  for (Renewal& renewal : stopped) Finish(std::move(renewal), ErrorStatus(WireError::kStopped));
}

void LeaseKeeper::Forward(std::vector<Renewal> renewals, raft::NodeId leader) {
  LeaseKeepAliveBatch batch;
  batch.set_cluster_id(parts_.peers->identity().cluster_id);
  batch.set_to(leader.value());
  for (const Renewal& renewal : renewals) batch.add_leases(renewal.lease);
  auto shared = std::make_shared<std::vector<Renewal>>(std::move(renewals));
  const auto done = [this, shared](absl::StatusOr<std::string> bytes) {
    {
      std::lock_guard lock(mutex_);
      --forwards_;
    }
    LeaseKeepAliveAnswers answers;
    if (bytes.ok() && !answers.ParseFromString(*bytes)) answers.Clear();
    std::vector<Renewal> back;
    for (size_t i = 0; i < shared->size(); ++i) {
      const int at = static_cast<int>(i);
      const int64_t ttl = at < answers.ttls_size() ? answers.ttls(at) : kNobodyCanTell;
      if (ttl == kNobodyCanTell) {
        back.push_back(std::move((*shared)[i]));
      } else {
        Finish(std::move((*shared)[i]), ttl);
      }
    }
    GiveBack(std::move(back), back.empty() ? base::Duration::zero() : kForwardPause);
  };
  rpc::UnaryClient* const client = ClientOf(leader);
  if (client == nullptr) return done(absl::UnavailableError("its address is not known"));
  client->Call(kLeaseKeepAliveMethod, batch.SerializeAsString(), 4 * parts_.election_timeout, done);
}

void LeaseKeeper::Stop() {
  std::vector<Renewal> waiting;
  std::multimap<base::TimePoint, std::function<void()>> later;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting = leader_.StopLeading();
    std::move(queue_.begin(), queue_.end(), std::back_inserter(waiting));
    queue_.clear();
    later.swap(later_);
    wake_.notify_all();
  }
  for (Renewal& renewal : waiting) Finish(std::move(renewal), ErrorStatus(WireError::kStopped));
  for (const auto& [due, call] : later) call();
}

}  // namespace server
