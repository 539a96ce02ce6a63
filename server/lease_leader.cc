// SPDX-License-Identifier: Apache-2.0

#include "server/lease_leader.h"

#include <algorithm>

#include "base/canary.h"
#include "server/errors.h"

namespace server {
namespace {

using datum::peer::LeaseRoundRequest;
using datum::peer::LeaseRoundResponse;

constexpr base::Duration kExpireAgainPause = std::chrono::milliseconds(500);

bool IsMajority(const std::set<raft::NodeId>& of, const std::set<raft::NodeId>& members) {
  const auto in = [&](raft::NodeId id) { return members.count(id) > 0; };
  return 2 * static_cast<size_t>(std::count_if(of.begin(), of.end(), in)) > of.size();
}

}  // namespace

void LeaseLeader::Lead(raft::Term term, const std::set<raft::NodeId>& voters, base::TimePoint now) {
  if (term != term_) {
    for (Renewal& renewal : StopLeading()) waiting_.push_back(std::move(renewal));
    term_ = term;
    gathering_ = true;
    gather_until_ = now + options_.gather_patience;
    round_ = Round{.number = ++last_number_, .voters = voters};
  }
  voters_ = voters;
  for (const raft::NodeId voter : voters) {
    if (voter != options_.self) peers_.try_emplace(voter);
  }
  std::erase_if(peers_, [&](const auto& item) { return voters.count(item.first) == 0; });
}

std::vector<Renewal> LeaseLeader::StopLeading() {
  std::vector<Renewal> back;
  if (round_) back.swap(round_->renewals);
  std::move(doomed_.begin(), doomed_.end(), std::back_inserter(back));
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(back));
  doomed_.clear();
  waiting_.clear();
  round_.reset();
  told_.clear();
  peers_.clear();
  voters_.clear();
  again_.clear();
  expiring_ = 0;
  gathering_ = false;
  if (leads()) book_->IgnoreDeadlines();
  term_ = raft::Term{};
  return back;
}

bool LeaseLeader::IsQuorum(const std::set<raft::NodeId>& members) const {
  return IsMajority(round_->voters, members) && IsMajority(voters_, members);
}

void LeaseLeader::OnAnswer(raft::NodeId from, raft::Term term, uint64_t number,
                           const absl::StatusOr<LeaseRoundResponse>& answer, base::TimePoint now) {
  const auto found = peers_.find(from);
  if (term != term_ || found == peers_.end()) return;
  Peer& peer = found->second;
  if (peer.in_flight > 0) --peer.in_flight;
  if (!answer.ok() || answer->outcome() != LeaseRoundResponse::NOTED) {
    peer.ask_again_at = now + options_.repeat_pause;
    if (peer.asked_in == number) peer.asked_in = 0;
    return;
  }
  peer.forgetful = answer->forgetful();
  peer.session = answer->session();
  if (!round_ || round_->number != number) return;
  round_->noted.insert(from);
  if (gathering_) told_[from] = {answer->known(), now, answer->forgetful()};
}

void LeaseLeader::OnExpiryEnded(raft::Term term, int64_t lease, base::TimePoint now) {
  if (term != term_) return;
  --expiring_;
  // Lost or unknown: it may still come to be, so the lease stays doomed and its end is tried again.
  if (book_->Find(lease) != nullptr) again_.emplace(now + kExpireAgainPause, lease);
}

void LeaseLeader::Advance(base::TimePoint now, Effects* effects) {
  if (!leads()) return;
  if (gathering_) Gather(now, effects);
  if (gathering_) return;
  Expire(now, effects);
  AnswerDoomed(now, effects);
  Renew(now, effects);
  Look(now, effects);
}

void LeaseLeader::Gather(base::TimePoint now, Effects* effects) {
  std::set<raft::NodeId> answered = round_->noted;
  answered.insert(options_.self);
  const bool all = std::includes(answered.begin(), answered.end(), voters_.begin(), voters_.end());
  const bool enough = IsQuorum(answered) && now >= gather_until_;
  if (!all && !enough && !base::Planted("lease-leader-asks-nobody")) {
    return AskInRound(now, effects);
  }
  const std::set<raft::NodeId> counted = Counted();
  std::vector<LeaseBook::Told> told;
  for (const auto& [from, each] : told_) {
    if (counted.count(from) > 0) told.push_back({&each.table, each.at});
  }
  book_->Settle(told, counted.count(options_.self) > 0);
  book_->WatchDeadlines();
  told_.clear();
  round_.reset();
  gathering_ = false;
}

std::set<raft::NodeId> LeaseLeader::Counted() const {
  std::set<raft::NodeId> whole;
  std::set<raft::NodeId> all = {options_.self};
  if (!book_->forgetful()) whole.insert(options_.self);
  for (const auto& [from, told] : told_) {
    all.insert(from);
    if (!told.forgetful) whole.insert(from);
  }
  return IsQuorum(whole) ? whole : all;
}

void LeaseLeader::Renew(base::TimePoint now, Effects* effects) {
  do {
    if (!round_ && !waiting_.empty()) BeginRound(now, effects);
    if (!round_) return;
    AskInRound(now, effects);
    std::set<raft::NodeId> noted = round_->noted;
    noted.insert(options_.self);
    if (!IsQuorum(noted) && !base::Planted("lease-renewal-by-leader-alone")) {
      return DropLate(now, effects);
    }
    FinishRound(effects);
  } while (true);
}

void LeaseLeader::BeginRound(base::TimePoint now, Effects* effects) {
  Round round{.number = ++last_number_, .voters = voters_};
  while (!waiting_.empty() && round.renewals.size() < options_.round_leases_max) {
    Renewal renewal = std::move(waiting_.front());
    waiting_.pop_front();
    const LeaseBook::Lease* lease = book_->Find(renewal.lease);
    if (lease == nullptr && renewal.looked_again) {
      effects->answered.push_back({std::move(renewal), 0});
    } else if (lease == nullptr) {
      effects->unknown.push_back(std::move(renewal));
    } else if (lease->doomed) {
      doomed_.push_back(std::move(renewal));
    } else {
      // Before anybody is told: what this leader itself knows must cover what it acknowledges.
      book_->Note(renewal.lease, now);
      round.renewals.push_back(std::move(renewal));
    }
  }
  if (!round.renewals.empty()) round_ = std::move(round);
}

void LeaseLeader::FinishRound(Effects* effects) {
  for (Renewal& renewal : round_->renewals) {
    // Revoked meanwhile: there is none.
    const LeaseBook::Lease* lease = book_->Find(renewal.lease);
    const int64_t ttl = lease == nullptr ? 0 : lease->ttl_seconds;
    effects->answered.push_back({std::move(renewal), ttl});
  }
  round_.reset();
}

void LeaseLeader::DropLate(base::TimePoint now, Effects* effects) {
  // The oldest is the first.
  if (round_->renewals.empty() || now < round_->renewals.front().deadline) return;
  std::vector<Renewal> still;
  for (Renewal& renewal : round_->renewals) {
    if (now < renewal.deadline) {
      still.push_back(std::move(renewal));
    } else {
      effects->answered.push_back({std::move(renewal), ErrorStatus(WireError::kTimeout)});
    }
  }
  round_->renewals.swap(still);
}

void LeaseLeader::Expire(base::TimePoint now, Effects* effects) {
  while (!again_.empty() && again_.begin()->first <= now && expiring_ < options_.expiries_max) {
    const int64_t lease = again_.begin()->second;
    again_.erase(again_.begin());
    if (book_->Find(lease) == nullptr) continue;
    effects->expire.push_back(lease);
    ++expiring_;
  }
  if (expiring_ >= options_.expiries_max) return;
  for (const int64_t lease : book_->TakeDue(now, options_.expiries_max - expiring_)) {
    effects->expire.push_back(lease);
    ++expiring_;
  }
}

void LeaseLeader::AnswerDoomed(base::TimePoint now, Effects* effects) {
  std::vector<Renewal> still;
  for (Renewal& renewal : doomed_) {
    const LeaseBook::Lease* lease = book_->Find(renewal.lease);
    if (lease == nullptr) {
      effects->answered.push_back({std::move(renewal), 0});
    } else if (now >= renewal.deadline) {
      effects->answered.push_back({std::move(renewal), ErrorStatus(WireError::kTimeout)});
    } else if (!lease->doomed) {
      // A new one under the same id.
      waiting_.push_back(std::move(renewal));
    } else {
      still.push_back(std::move(renewal));
    }
  }
  doomed_.swap(still);
}

void LeaseLeader::AskInRound(base::TimePoint now, Effects* effects) {
  for (auto& [id, peer] : peers_) {
    if (round_->noted.count(id) > 0 || peer.asked_in == round_->number) continue;
    if (now < peer.ask_again_at || peer.in_flight >= options_.questions_per_peer_max) continue;
    LeaseRoundRequest request;
    request.set_tell(gathering_);
    request.mutable_renewed()->Reserve(static_cast<int>(round_->renewals.size()));
    for (const Renewal& renewal : round_->renewals) request.add_renewed(renewal.lease);
    peer.asked_in = round_->number;
    Ask(id, round_->number, now, std::move(request), effects);
  }
}

void LeaseLeader::Look(base::TimePoint now, Effects* effects) {
  for (auto& [id, peer] : peers_) {
    if (peer.in_flight > 0 || now < peer.ask_again_at) continue;
    if (!peer.forgetful && now < peer.asked_at + options_.look_pause) continue;
    Ask(id, 0, now, {}, effects);
  }
}

void LeaseLeader::Ask(raft::NodeId to, uint64_t number, base::TimePoint now,
                      LeaseRoundRequest request, Effects* effects) {
  Peer& peer = peers_.at(to);
  request.set_cluster_id(options_.cluster_id);
  request.set_to(to.value());
  request.set_term(term_.value());
  if (peer.forgetful && !gathering_) {
    *request.mutable_whole() = book_->Tell(now);
    request.set_session(peer.session);
    // Until it says so again.
    peer.forgetful = false;
  }
  ++peer.in_flight;
  peer.asked_at = now;
  effects->questions.push_back({to, number, std::move(request)});
}

base::TimePoint LeaseLeader::next_due() const {
  if (!leads()) return base::kForever;
  base::TimePoint due = gathering_ ? gather_until_ : base::kForever;
  for (const auto& [id, peer] : peers_) {
    const bool asked = !round_ || round_->noted.count(id) > 0 || peer.asked_in == round_->number;
    if (peer.in_flight >= options_.questions_per_peer_max) continue;
    if (!asked) due = std::min(due, peer.ask_again_at);
    if (gathering_ || peer.in_flight > 0) continue;
    due = std::min(due, std::max(peer.ask_again_at, peer.asked_at + options_.look_pause));
  }
  if (gathering_) return due;
  if (!doomed_.empty()) due = std::min(due, doomed_.front().deadline);
  if (round_ && !round_->renewals.empty()) {
    due = std::min(due, round_->renewals.front().deadline);
  }
  if (expiring_ < options_.expiries_max) {
    due = std::min(due, book_->next_due());
    if (!again_.empty()) due = std::min(due, again_.begin()->first);
  }
  return due;
}

}  // namespace server
