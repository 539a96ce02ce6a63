// SPDX-License-Identifier: Apache-2.0
//
// lease_leader.h: what a leader does about leases: learns what the members before it acknowledged,
// acknowledges keep-alives once a quorum has noted them, and finds who is due.
//
// As long as its term lasts it is the only one that does so; docs/adr/0007 has the argument.
// Pure: no thread, no clock, no network. Time and answers come in, Effects go out.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "proto/peer.pb.h"
#include "raft/core/types.h"
#include "server/lease_book.h"

namespace server {

// One keep-alive that waits.
struct Renewal {
  int64_t lease = 0;
  base::TimePoint deadline;
  // Another member passed it on: it goes back there rather than to a third.
  bool forwarded = false;
  // The lease was not known, and what is linearizable has been waited for since.
  bool looked_again = false;
  // The TTL, or 0 if there is no such lease.
  std::function<void(absl::StatusOr<int64_t>)> done;
};

struct LeaseLeaderOptions {
  raft::NodeId self;
  uint64_t cluster_id = 0;
  // A new leader waits so long for all voters' answers; then a quorum's will do.
  base::Duration gather_patience = std::chrono::milliseconds(200);
  // Who could not answer is asked again after this.
  base::Duration repeat_pause = std::chrono::milliseconds(20);
  // Nobody is left unasked for longer: a member that began anew is found by it.
  base::Duration look_pause = std::chrono::seconds(1);
  size_t round_leases_max = 4096;
  size_t questions_per_peer_max = 8;
  // Ends that are proposed and not decided.
  size_t expiries_max = 500;
};

class LeaseLeader {
 public:
  struct Question {
    raft::NodeId to;
    uint64_t number = 0;
    datum::peer::LeaseRoundRequest request;
  };
  struct Effects {
    std::vector<Question> questions;
    std::vector<std::pair<Renewal, absl::StatusOr<int64_t>>> answered;
    // Leases that are not known here: to be given back, looked_again, after a linearizable read.
    std::vector<Renewal> unknown;
    // To be proposed in this term, each until OnExpiryEnded.
    std::vector<int64_t> expire;
  };

  LeaseLeader(const LeaseLeaderOptions& options, LeaseBook* book)
      : options_(options), book_(book) {}

  // This member has applied an entry of `term` and leads in it, among these voters. To be called
  // before each Advance.
  void Lead(raft::Term term, const std::set<raft::NodeId>& voters, base::TimePoint now);
  // It does not. What waits comes back: another leader may answer it.
  std::vector<Renewal> StopLeading();
  bool leads() const { return term_ != raft::Term{}; }
  raft::Term term() const { return term_; }
  // It knows all that was acknowledged.
  bool serves() const { return leads() && !gathering_; }

  void Add(Renewal renewal) { waiting_.push_back(std::move(renewal)); }
  size_t waiting() const { return waiting_.size(); }

  // `number` and `term` are the question's.
  void OnAnswer(raft::NodeId from, raft::Term term, uint64_t number,
                const absl::StatusOr<datum::peer::LeaseRoundResponse>& answer, base::TimePoint now);
  // A proposal of that term has ended, however.
  void OnExpiryEnded(raft::Term term, int64_t lease, base::TimePoint now);

  void Advance(base::TimePoint now, Effects* effects);
  // When to call Advance if nothing happens before.
  base::TimePoint next_due() const;

 private:
  struct Peer {
    size_t in_flight = 0;
    // The number of the round it was last asked in, and may be asked again in from then on.
    uint64_t asked_in = 0;
    base::TimePoint ask_again_at = base::TimePoint::min();
    base::TimePoint asked_at = base::TimePoint::min();
    bool forgetful = false;
    uint64_t session = 0;
  };
  struct Told {
    datum::peer::LeaseTable table;
    base::TimePoint at;
    bool forgetful = false;
  };
  // One question to all voters. While gathering it asks what they know, later it tells renewals.
  struct Round {
    uint64_t number = 0;
    std::set<raft::NodeId> voters;
    std::set<raft::NodeId> noted;
    std::vector<Renewal> renewals;
  };

  void Gather(base::TimePoint now, Effects* effects);
  // The members whose word is counted: those that forgot nothing, if they are a quorum.
  std::set<raft::NodeId> Counted() const;
  void Renew(base::TimePoint now, Effects* effects);
  void BeginRound(base::TimePoint now, Effects* effects);
  void FinishRound(Effects* effects);
  void Expire(base::TimePoint now, Effects* effects);
  void AnswerDoomed(base::TimePoint now, Effects* effects);
  void AskInRound(base::TimePoint now, Effects* effects);
  // Who was not asked for long, or has to be told.
  void Look(base::TimePoint now, Effects* effects);
  // `number`: of the round that the request tells, 0 if of none.
  void Ask(raft::NodeId to, uint64_t number, base::TimePoint now,
           datum::peer::LeaseRoundRequest request, Effects* effects);
  // Gives up those of the round that nobody waits for any more.
  void DropLate(base::TimePoint now, Effects* effects);
  // Of the voters when the round began, and of those there are now.
  bool IsQuorum(const std::set<raft::NodeId>& members) const;

  const LeaseLeaderOptions options_;
  LeaseBook* const book_;

  raft::Term term_;
  std::set<raft::NodeId> voters_;
  std::map<raft::NodeId, Peer> peers_;
  bool gathering_ = false;
  base::TimePoint gather_until_;
  std::map<raft::NodeId, Told> told_;
  uint64_t last_number_ = 0;
  std::optional<Round> round_;

  std::deque<Renewal> waiting_;
  // Their lease's end is proposed.
  std::vector<Renewal> doomed_;
  size_t expiring_ = 0;
  // Ends that were proposed in vain, by when to try again.
  std::multimap<base::TimePoint, int64_t> again_;
};

}  // namespace server
