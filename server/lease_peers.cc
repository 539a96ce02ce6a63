// SPDX-License-Identifier: Apache-2.0
//
// What LeaseKeeper says to the other members, and how long a lease has left.

#include <atomic>
#include <utility>

#include "base/canary.h"
#include "rpc/typed.h"
#include "server/errors.h"
#include "server/lease_keeper.h"

namespace server {
namespace {

using datum::peer::LeaseKeepAliveAnswers;
using datum::peer::LeaseKeepAliveBatch;
using datum::peer::LeaseRoundRequest;
using datum::peer::LeaseRoundResponse;
using datum::peer::LeaseTimeToLiveAnswer;
using datum::peer::LeaseTimeToLiveQuestion;

constexpr base::Duration kTryAgainPause = std::chrono::milliseconds(20);
constexpr int64_t kNobodyCanTell = -1;

// The answers to one batch, sent when the last is there.
struct BatchAnswers {
  BatchAnswers(int size, rpc::UnaryDone when_done) : missing(size), done(std::move(when_done)) {
    answers.mutable_ttls()->Resize(size, kNobodyCanTell);
  }
  void Set(int at, const absl::StatusOr<int64_t>& ttl) {
    if (ttl.ok()) answers.set_ttls(at, *ttl);
    if (--missing == 0) rpc::Reply(done, absl::OkStatus(), answers);
  }
  // Each place is written by one thread, and read by the last.
  LeaseKeepAliveAnswers answers;
  std::atomic<int> missing;
  const rpc::UnaryDone done;
};

}  // namespace

void LeaseKeeper::Register(rpc::Registry* registry) {
  registry->AddUnary(
      kLeaseRoundMethod,
      rpc::TypedUnary<LeaseRoundRequest>(
          [this](const rpc::Call&, const LeaseRoundRequest& request, const rpc::UnaryDone& done) {
            rpc::Reply(done, absl::OkStatus(), OnRound(request));
          }));
  registry->AddUnary(kLeaseKeepAliveMethod,
                     rpc::TypedUnary<LeaseKeepAliveBatch>(
                         [this](const rpc::Call&, const LeaseKeepAliveBatch& batch,
                                rpc::UnaryDone done) { OnKeepAlives(batch, std::move(done)); }));
  registry->AddUnary(
      kLeaseTimeToLiveMethod,
      rpc::TypedUnary<LeaseTimeToLiveQuestion>([this](const rpc::Call& call,
                                                      const LeaseTimeToLiveQuestion& question,
                                                      const rpc::UnaryDone& done) {
        const raft::NodeStatus status = parts_.replica->status();
        if (!IsMeant(question.cluster_id(), question.to()) || status.leader != status.self) {
          return rpc::Reply(done, absl::OkStatus(), LeaseTimeToLiveAnswer());
        }
        TimeToLiveHere(question.lease(), question.keys(), call.deadline(),
                       [done](absl::StatusOr<LeaseTimeToLiveAnswer> answer) {
                         rpc::Reply(done, absl::OkStatus(),
                                    answer.ok() ? *answer : LeaseTimeToLiveAnswer());
                       });
      }));
}

bool LeaseKeeper::IsMeant(uint64_t cluster_id, uint64_t to) const {
  return cluster_id == parts_.peers->identity().cluster_id && to == parts_.peers->identity().self;
}

LeaseRoundResponse LeaseKeeper::OnRound(const LeaseRoundRequest& request) {
  LeaseRoundResponse response;
  if (!IsMeant(request.cluster_id(), request.to())) return response;
  const raft::Term term(request.term());
  std::lock_guard lock(mutex_);
  const raft::NodeStatus status = parts_.replica->status();
  if (status.term > term) return response;
  // With an entry of the term in its state it never goes back before it, whatever it forgets:
  // what it says is said in this term or later.
  if (status.term < term || parts_.state->applied_term() != term) {
    response.set_outcome(LeaseRoundResponse::NOT_YET);
    return response;
  }
  const base::TimePoint now = parts_.clock->Now();
  for (const uint64_t lease : request.renewed()) {
    if (base::Planted("lease-renewals-not-noted")) break;
    book_.Note(static_cast<int64_t>(lease), now);
  }
  if (request.has_whole() && request.session() == session_) book_.Adopt(request.whole(), now);
  response.set_outcome(LeaseRoundResponse::NOTED);
  response.set_forgetful(book_.forgetful());
  response.set_session(session_);
  if (request.tell()) *response.mutable_known() = book_.Tell(now);
  return response;
}

void LeaseKeeper::OnKeepAlives(const LeaseKeepAliveBatch& batch, rpc::UnaryDone done) {
  const raft::NodeStatus status = parts_.replica->status();
  auto answers = std::make_shared<BatchAnswers>(batch.leases_size(), std::move(done));
  const bool takes = IsMeant(batch.cluster_id(), batch.to()) && status.leader == status.self;
  if (batch.leases_size() == 0) {
    return rpc::Reply(answers->done, absl::OkStatus(), answers->answers);
  }
  const base::TimePoint deadline = parts_.clock->Now() + 3 * parts_.election_timeout;
  bool taken = false;
  {
    std::lock_guard lock(mutex_);
    if (takes && !stopping_) {
      taken = true;
      unanswered_ += static_cast<size_t>(batch.leases_size());
      for (int i = 0; i < batch.leases_size(); ++i) {
        queue_.push_back(
            {.lease = static_cast<int64_t>(batch.leases(i)),
             .deadline = deadline,
             .forwarded = true,
             .done = [answers, i](absl::StatusOr<int64_t> ttl) { answers->Set(i, ttl); }});
      }
      WakeLocked();
    }
  }
  if (!taken) rpc::Reply(answers->done, absl::OkStatus(), answers->answers);
}

void LeaseKeeper::TimeToLive(int64_t lease, bool keys, base::TimePoint deadline,
                             TimeToLiveDone done) {
  const raft::NodeStatus status = parts_.replica->status();
  if (status.leader == raft::kNobody) return TryAgain(lease, keys, deadline, std::move(done));
  if (status.leader != status.self) {
    return TimeToLiveThere(status.leader, lease, keys, deadline, std::move(done));
  }
  TimeToLiveHere(lease, keys, deadline,
                 [this, lease, keys, deadline,
                  done = std::move(done)](absl::StatusOr<LeaseTimeToLiveAnswer> answer) mutable {
                   if (!answer.ok() || answer->known()) return done(std::move(answer));
                   TryAgain(lease, keys, deadline, std::move(done));
                 });
}

void LeaseKeeper::TryAgain(int64_t lease, bool keys, base::TimePoint deadline,
                           TimeToLiveDone done) {
  const base::TimePoint now = parts_.clock->Now();
  bool stopping;
  {
    std::lock_guard lock(mutex_);
    stopping = stopping_;
    if (!stopping && now < deadline) {
      later_.emplace(now + kTryAgainPause, [this, lease, keys, deadline, done = std::move(done)] {
        TimeToLive(lease, keys, deadline, done);
      });
      return WakeLocked();
    }
  }
  done(ErrorStatus(stopping ? WireError::kStopped : WireError::kTimeout));
}

void LeaseKeeper::TimeToLiveThere(raft::NodeId leader, int64_t lease, bool keys,
                                  base::TimePoint deadline, TimeToLiveDone done) {
  rpc::UnaryClient* const client = ClientOf(leader);
  if (client == nullptr) return TryAgain(lease, keys, deadline, std::move(done));
  LeaseTimeToLiveQuestion question;
  question.set_cluster_id(parts_.peers->identity().cluster_id);
  question.set_to(leader.value());
  question.set_lease(lease);
  question.set_keys(keys);
  client->Call(kLeaseTimeToLiveMethod, question.SerializeAsString(), 4 * parts_.election_timeout,
               [this, lease, keys, deadline,
                done = std::move(done)](absl::StatusOr<std::string> bytes) mutable {
                 LeaseTimeToLiveAnswer answer;
                 if (bytes.ok() && answer.ParseFromString(*bytes) && answer.known()) {
                   return done(std::move(answer));
                 }
                 TryAgain(lease, keys, deadline, std::move(done));
               });
}

void LeaseKeeper::TimeToLiveHere(int64_t lease, bool keys, base::TimePoint deadline,
                                 TimeToLiveDone done) {
  parts_.replica->ReadIndex(deadline,
                            [this, lease, keys, done = std::move(done)](raft::ReadOutcome outcome) {
                              switch (outcome) {
                                case raft::ReadOutcome::kReady:
                                  return done(LookUp(lease, keys));
                                case raft::ReadOutcome::kLeaderChanged:
                                case raft::ReadOutcome::kNoLeader:
                                  return done(LeaseTimeToLiveAnswer());
                                default:
                                  return done(FromRead(outcome));
                              }
                            });
}

LeaseTimeToLiveAnswer LeaseKeeper::LookUp(int64_t lease, bool keys) {
  LeaseTimeToLiveAnswer answer;
  {
    std::lock_guard lock(mutex_);
    if (!leader_.serves() || leader_.term() != parts_.replica->status().term) return answer;
    answer.set_known(true);
    const LeaseBook::Lease* found = book_.Find(lease);
    if (found == nullptr) return answer;
    const base::Duration gone = parts_.clock->Now() - found->renewed_at();
    const int64_t left = found->ttl_seconds - std::chrono::ceil<std::chrono::seconds>(gone).count();
    answer.set_found(true);
    answer.set_granted_ttl(found->ttl_seconds);
    answer.set_ttl(std::max<int64_t>(left, 0));
  }
  if (!keys) return answer;
  const auto attached = parts_.state->KeysOfLease(lease);
  // A state that cannot be read says nothing; another member may lead soon.
  if (!attached.ok()) return LeaseTimeToLiveAnswer();
  for (const std::string& key : *attached) answer.add_keys(key);
  return answer;
}

}  // namespace server
