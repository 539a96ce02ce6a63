// SPDX-License-Identifier: Apache-2.0
//
// lease_keeper.h: leases as this member keeps them: the book, the leader's work upon it, and the
// messages between members that both need.
//
// One thread, Run's, does the leader's work and passes other members' keep-alives on; everybody
// else only leaves things for it. One lock around the book and the leader, held for a batch.
//
// Threads: any, but for Run.

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "proto/peer.pb.h"
#include "rpc/grpc_unary.h"
#include "rpc/handler.h"
#include "server/lease_book.h"
#include "server/lease_leader.h"
#include "server/lease_parts.h"
#include "server/parts.h"
#include "server/peer_transport.h"
#include "store/applied_record.h"
#include "store/engine.h"

namespace server {

inline constexpr char kLeaseRoundMethod[] = "/datum.Peer/LeaseRound";
inline constexpr char kLeaseKeepAliveMethod[] = "/datum.Peer/LeaseKeepAlive";
inline constexpr char kLeaseTimeToLiveMethod[] = "/datum.Peer/LeaseTimeToLive";

class LeaseKeeper final : public LeaseClock {
 public:
  struct Parts {
    Replica* replica;
    const State* state;
    const PeerTransport* peers;
    const base::Clock* clock;
    base::Duration election_timeout;
  };

  // All must outlive it.
  explicit LeaseKeeper(const Parts& parts);

  // The state is this one from now on. Threads: before the node starts, and the apply thread.
  void Load(const store::LeaseTtls& leases);
  // Threads: the apply thread.
  void OnCommit(std::span<const store::WriteOperation> batch, const store::AppliedRecord& numbers);
  // Role, term or leader changed.
  void Wake();

  void KeepAlive(int64_t lease, base::TimePoint deadline, KeepAliveDone done) override;
  void TimeToLive(int64_t lease, bool keys, base::TimePoint deadline, TimeToLiveDone done) override;

  // Answers the other members.
  void Register(rpc::Registry* registry);

  // Works until Stop.
  void Run();
  // What there is to do now. Threads: Run's, or a test's.
  void RunOnce();
  // What waits is told that the server stops. Idempotent.
  void Stop();

 private:
  using RoundAnswer = absl::StatusOr<datum::peer::LeaseRoundResponse>;
  // What came in for the thread.
  struct Answer {
    raft::NodeId from;
    raft::Term term;
    uint64_t number;
    RoundAnswer response;
  };
  struct Ended {
    raft::Term term;
    int64_t lease;
  };
  // What the thread has to do once it has let go of the lock.
  struct Work {
    LeaseLeader::Effects effects;
    raft::Term term;
    std::vector<Renewal> forward;
    raft::NodeId forward_to;
    std::vector<std::function<void()>> calls;
  };

  // Under the lock:
  Work Plan(base::TimePoint now);
  void PlanForwarding(raft::NodeId leader, base::TimePoint now, Work* work);
  // Ends what nobody waits for any more, and what another member passed on to a leader of old.
  void DropFromQueue(base::TimePoint now, Work* work);
  base::TimePoint NextDue(base::TimePoint now) const;
  void WakeLocked();

  void Perform(Work work);
  void AskPeer(LeaseLeader::Question question, raft::Term term);
  void Forward(std::vector<Renewal> renewals, raft::NodeId leader);
  void ProposeEnd(int64_t lease, raft::Term term);
  void LookAgain(std::vector<Renewal> renewals);
  void GiveBack(std::vector<Renewal> renewals, base::Duration pause);
  void Finish(Renewal renewal, absl::StatusOr<int64_t> ttl);
  std::set<raft::NodeId> Voters() const;
  rpc::UnaryClient* ClientOf(raft::NodeId member);

  bool IsMeant(uint64_t cluster_id, uint64_t to) const;
  datum::peer::LeaseRoundResponse OnRound(const datum::peer::LeaseRoundRequest& request);
  void OnKeepAlives(const datum::peer::LeaseKeepAliveBatch& batch, rpc::UnaryDone done);
  void TimeToLiveHere(int64_t lease, bool keys, base::TimePoint deadline, TimeToLiveDone done);
  datum::peer::LeaseTimeToLiveAnswer LookUp(int64_t lease, bool keys);
  void TimeToLiveThere(raft::NodeId leader, int64_t lease, bool keys, base::TimePoint deadline,
                       TimeToLiveDone done);
  void TryAgain(int64_t lease, bool keys, base::TimePoint deadline, TimeToLiveDone done);

  const Parts parts_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // All below is guarded by mutex_.
  bool woken_ = false;
  bool stopping_ = false;
  LeaseBook book_;
  uint64_t session_;
  LeaseLeader leader_;
  raft::Term applied_term_;
  // Keep-alives that wait for a leader, and all that have no answer yet.
  std::deque<Renewal> queue_;
  size_t unanswered_ = 0;
  size_t forwards_ = 0;
  base::TimePoint forward_after_ = base::TimePoint::min();
  base::TimePoint drop_due_ = base::TimePoint::min();
  std::vector<Answer> answers_;
  std::vector<Ended> ended_;
  std::multimap<base::TimePoint, std::function<void()>> later_;
  // They stay: members come back.
  std::map<std::string, std::unique_ptr<rpc::UnaryClient>> clients_;
};

}  // namespace server
