// SPDX-License-Identifier: Apache-2.0
//
// Random lives of five members' leases: messages that are late or lost, leaders that are deposed
// and do not know it, members that start anew. Whatever happens, no lease is ended before what was
// acknowledged of it allows, none is acknowledged once it is gone, and each ends in the end.
//
// Raft is played by its rules: a leader of a term is chosen by a quorum that is in that term from
// then on, and an entry takes effect only in the term of a leader that a quorum still follows.

#include <algorithm>
#include <map>
#include <memory>

#include "base/canary.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "server/lease_leader.h"

namespace server {
namespace {

using datum::peer::LeaseRoundResponse;
using std::chrono::milliseconds;

constexpr int kMembers = 5;
constexpr int64_t kTtl = 3;

std::set<raft::NodeId> Voters() {
  std::set<raft::NodeId> voters;
  for (uint64_t id = 1; id <= kMembers; ++id) voters.insert(raft::NodeId(id));
  return voters;
}

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    for (uint64_t id = 1; id <= kMembers; ++id) {
      members_.push_back(std::make_unique<Member>(raft::NodeId(id)));
      members_.back()->book.Load({}, now_);
    }
    Elect();
  }

  // What went wrong; empty if nothing did.
  std::string Run(int steps) {
    for (int step = 0; step < steps && wrong_.empty(); ++step) {
      now_ += milliseconds(random_.Between(1, 40));
      Deliver();
      if (random_.Chance(0.02)) Elect();
      if (random_.Chance(0.01)) StartAnew(random_.Below(kMembers));
      if (random_.Chance(0.05)) Apply({next_lease_++, true, kTtl}, term_);
      for (auto& member : members_) {
        // A member that stands still answers and decides nothing for a while.
        if (random_.Chance(0.005)) member->wakes_at = now_ + milliseconds(random_.Below(3000));
        if (member->wakes_at <= now_) Act(member.get());
      }
    }
    return wrong_;
  }
  size_t acknowledged() const { return acknowledged_; }
  size_t ended() const { return ended_; }

 private:
  struct Member {
    explicit Member(raft::NodeId self)
        : leader({.self = self, .gather_patience = milliseconds(100)}, &book) {}
    raft::Term term;          // Raft's, durable
    raft::Term applied_term;  // of the last entry it applied, durable
    base::TimePoint wakes_at;
    uint64_t session = 1;
    LeaseBook book;
    LeaseLeader leader;
    bool leads = false;
  };

  Member& At(raft::NodeId id) { return *members_[id.value() - 1]; }

  // A quorum goes to a new term; others, old leaders among them, hear of it when they do.
  void Elect() {
    ++term_;
    std::vector<size_t> order = {0, 1, 2, 3, 4};
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.Below(i)]);
    for (size_t i = 0; i < kMembers / 2 + 1; ++i) Hear(members_[order[i]].get(), false);
    members_[order[0]]->leads = true;
  }
  void Hear(Member* member, bool applies) {
    if (member->term < raft::Term(term_)) member->leads = false;
    member->term = raft::Term(term_);
    if (applies) member->applied_term = member->term;
  }

  void StartAnew(size_t at) {
    Member* old = members_[at].get();
    auto member = std::make_unique<Member>(raft::NodeId(at + 1));
    member->term = old->term;
    member->applied_term = old->applied_term;
    member->session = old->session + 1;
    member->book.Load(leases_, now_);
    members_[at] = std::move(member);
  }

  // An entry takes effect in its term, or right before the first entry of the next one.
  void Apply(const store::LeaseChange& change, uint64_t in_term) {
    const bool next_began = std::any_of(
        members_.begin(), members_.end(),
        [this](const auto& member) { return member->applied_term == raft::Term(term_); });
    const bool in_time = in_term == term_ || (in_term + 1 == term_ && !next_began);
    if (!in_time && !base::Planted("expiry-of-another-term")) return;
    if (change.granted) {
      leases_[change.lease] = change.ttl_seconds;
      promises_[change.lease] = now_ + std::chrono::seconds(kTtl);
    } else {
      const auto found = promises_.find(change.lease);
      if (found == promises_.end()) return;
      if (now_ < found->second) wrong_ = "a lease was ended early";
      leases_.erase(change.lease);
      promises_.erase(found);
      ++ended_;
    }
    for (auto& member : members_) member->book.Apply(change, now_);
  }

  void Act(Member* member) {
    // Sooner or later each hears of the term, and applies an entry of it once a quorum has.
    if (member->term < raft::Term(term_) && random_.Chance(0.05)) Hear(member, false);
    if (member->term == raft::Term(term_) && random_.Chance(0.3)) Hear(member, true);
    if (!member->leads || member->applied_term != member->term) {
      member->leader.StopLeading();
      return;
    }
    member->leader.Lead(member->term, Voters(), now_);
    for (const auto& [lease, sure_until] : promises_) {
      if (random_.Chance(0.03)) KeepAlive(member, lease);
    }
    LeaseLeader::Effects effects;
    member->leader.Advance(now_, &effects);
    for (auto& [renewal, ttl] : effects.answered) renewal.done(std::move(ttl));
    for (const int64_t lease : effects.expire) {
      // It takes its time, may be lost, and may come when another leads.
      const uint64_t term = member->term.value();
      const raft::NodeId self = IdOf(member);
      const bool lost = random_.Chance(0.1);
      Later([this, lease, term, self, lost] {
        if (!lost) Apply({lease, false, 0}, term);
        At(self).leader.OnExpiryEnded(raft::Term(term), lease, now_);
      });
    }
    for (LeaseLeader::Question& question : effects.questions) {
      Ask(IdOf(member), std::move(question));
    }
  }

  void KeepAlive(Member* member, int64_t lease) {
    const base::TimePoint sent = now_;
    member->leader.Add({.lease = lease,
                        .deadline = now_ + std::chrono::seconds(5),
                        .done = [this, lease, sent](absl::StatusOr<int64_t> ttl) {
                          if (!ttl.ok() || *ttl == 0) return;
                          ++acknowledged_;
                          const auto found = promises_.find(lease);
                          if (found == promises_.end()) {
                            wrong_ = "a lease that is gone was acknowledged";
                          } else {
                            found->second =
                                std::max(found->second, sent + std::chrono::seconds(kTtl));
                          }
                        }});
  }

  // The question or its answer may be lost; who asked hears at least that.
  void Ask(raft::NodeId asker, LeaseLeader::Question question) {
    Later([this, asker, question = std::move(question)] {
      Member& asked = At(question.to);
      absl::StatusOr<LeaseRoundResponse> answer = absl::UnavailableError("lost");
      if (asked.wakes_at <= now_ && !random_.Chance(0.1)) answer = Answer(&asked, question.request);
      if (random_.Chance(0.1)) answer = absl::UnavailableError("lost");
      Later([this, asker, question, answer] {
        At(asker).leader.OnAnswer(question.to, raft::Term(question.request.term()), question.number,
                                  answer, now_);
      });
    });
  }
  raft::NodeId IdOf(const Member* member) const {
    for (size_t i = 0; i < members_.size(); ++i) {
      if (members_[i].get() == member) return raft::NodeId(i + 1);
    }
    return raft::kNobody;
  }

  // As LeaseKeeper::OnRound.
  LeaseRoundResponse Answer(Member* member, const datum::peer::LeaseRoundRequest& request) {
    LeaseRoundResponse response;
    const raft::Term term(request.term());
    if (member->term > term) return response;
    response.set_outcome(LeaseRoundResponse::NOT_YET);
    if (member->term < term || member->applied_term != term) return response;
    for (const uint64_t lease : request.renewed()) {
      member->book.Note(static_cast<int64_t>(lease), now_);
    }
    if (request.has_whole() && request.session() == member->session) {
      member->book.Adopt(request.whole(), now_);
    }
    response.set_outcome(LeaseRoundResponse::NOTED);
    response.set_forgetful(member->book.forgetful());
    response.set_session(member->session);
    if (request.tell()) *response.mutable_known() = member->book.Tell(now_);
    return response;
  }

  // After a while, soon most often.
  void Later(std::function<void()> what) {
    const uint64_t most = random_.Chance(0.1) ? 2000 : 50;
    later_.emplace(now_ + milliseconds(random_.Below(most)), std::move(what));
  }
  void Deliver() {
    while (!later_.empty() && later_.begin()->first <= now_) {
      const auto what = std::move(later_.begin()->second);
      later_.erase(later_.begin());
      what();
    }
  }

  base::Random random_;
  base::TimePoint now_{std::chrono::hours(1)};
  uint64_t term_ = 0;
  int64_t next_lease_ = 1;
  std::vector<std::unique_ptr<Member>> members_;
  store::LeaseTtls leases_;
  // Until when a client may rely on its lease, by when it sent what was acknowledged.
  std::map<int64_t, base::TimePoint> promises_;
  std::multimap<base::TimePoint, std::function<void()>> later_;
  std::string wrong_;
  size_t acknowledged_ = 0;
  size_t ended_ = 0;
};

std::string RunSeeds(uint64_t seeds) {
  size_t acknowledged = 0;
  size_t ended = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    World world(seed);
    const std::string wrong = world.Run(2000);
    if (!wrong.empty()) return "seed " + std::to_string(seed) + ": " + wrong;
    acknowledged += world.acknowledged();
    ended += world.ended();
  }
  EXPECT_GT(acknowledged, seeds * 20);
  EXPECT_GT(ended, seeds * 5);
  return "";
}

#ifdef DATUM_CANARIES
TEST(LeaseModelTest, PlantedBugsAreFound) {
  for (const std::string bug :
       {"lease-renewal-ignored", "lease-leader-asks-nobody", "lease-renewal-by-leader-alone",
        "expiry-of-another-term", "lease-forgetful-assumes-nothing"}) {
    base::PlantedCanary() = bug;
    EXPECT_NE(RunSeeds(300), "") << bug << " is not found";
  }
}
#else
TEST(LeaseModelTest, NoLeaseIsEndedEarlyOrAcknowledgedWhenGone) { EXPECT_EQ(RunSeeds(100), ""); }
#endif

}  // namespace
}  // namespace server
