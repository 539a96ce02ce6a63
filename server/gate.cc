// SPDX-License-Identifier: Apache-2.0

#include "server/gate.h"

#include <algorithm>
#include <utility>

#include "rpc/typed.h"
#include "server/errors.h"
#include "store/command.h"

namespace server {

// A request lies one level deeper in its command: what was decoded once is decoded when applied.
static_assert(store::kCommandNestingMax > rpc::kNestingMax);

namespace {

// etcd holds its limit against the request with the header that it puts into the log: an id made
// of the member's low 16 bits, a bit that is set until 2039, and time. Ours logs none, but
// clients shall meet the same limit to the byte.
uint64_t HeaderBytes(uint64_t member_id) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_header()->set_id(member_id << 48 | uint64_t{1} << 47);
  return request.ByteSizeLong();
}

}  // namespace

Gate::Gate(const GateOptions& options, Replica* replica, const base::Clock* clock)
    : options_(options),
      header_bytes_(HeaderBytes(options.member_id)),
      replica_(replica),
      clock_(clock) {}

absl::Status Gate::CheckLeaderWanted(const rpc::Call& call) const {
  if (replica_->status().leader == raft::kNobody && call.Metadata("hasleader") == "true") {
    return ErrorStatus(WireError::kNoLeader);
  }
  return absl::OkStatus();
}

absl::Status Gate::CheckServed() const {
  const raft::NodeStatus status = replica_->status();
  if (status.state_lost) return ErrorStatus(WireError::kStateLost);
  if (status.is_learner) return ErrorStatus(WireError::kNotSupportedForLearner);
  return absl::OkStatus();
}

base::TimePoint Gate::DeadlineOf(const rpc::Call& call) const {
  return std::min(call.deadline(), clock_->Now() + options_.request_timeout);
}

void Gate::Publish(const rpc::Call& call, const etcdserverpb::InternalRaftRequest& request,
                   rpc::UnaryDone done) const {
  const absl::Status leader = CheckLeaderWanted(call);
  if (!leader.ok()) return done(leader, "");
  const absl::Status served = CheckServed();
  if (!served.ok()) return done(served, "");
  if (request.ByteSizeLong() + header_bytes_ > options_.max_request_bytes) {
    return done(ErrorStatus(WireError::kRequestTooLarge), "");
  }
  const base::TimePoint began = clock_->Now();
  replica_->Publish(
      request.SerializeAsString(), DeadlineOf(call),
      [this, began, done = std::move(done)](raft::PublishOutcome outcome) {
        if (outcome.kind == raft::PublishOutcome::Kind::kApplied) {
          return done(FromStore(outcome.result.status), std::move(outcome.result.response));
        }
        if (stopping_ && outcome.kind == raft::PublishOutcome::Kind::kUnknown) {
          return done(ErrorStatus(WireError::kStopped), "");
        }
        // As etcd: the leader is to blame if it was lost shortly before the request came or since.
        const raft::NodeStatus status = replica_->status();
        const bool leader_lost = status.leader_lost_at != base::TimePoint::min() &&
                                 status.leader_lost_at + 2 * options_.election_timeout > began;
        done(FromPublish(outcome.kind, leader_lost), "");
      });
}

void Gate::Read(const rpc::Call& call, bool serializable,
                std::function<void(absl::Status)> read) const {
  const absl::Status leader = CheckLeaderWanted(call);
  if (!leader.ok()) return read(leader);
  if (!serializable) {
    const absl::Status served = CheckServed();
    if (!served.ok()) return read(served);
  } else if (replica_->status().state_lost) {
    return read(ErrorStatus(WireError::kStateLost));
  }
  const base::TimePoint deadline = DeadlineOf(call);
  auto done = [this, deadline, read = std::move(read)](raft::ReadOutcome outcome) {
    if (stopping_) return read(ErrorStatus(WireError::kStopped));
    // Who asked has given up meanwhile: the scan would be for nobody.
    if (outcome == raft::ReadOutcome::kReady && clock_->Now() >= deadline) {
      outcome = raft::ReadOutcome::kTimedOut;
    }
    read(outcome == raft::ReadOutcome::kReady ? absl::OkStatus() : FromRead(outcome));
  };
  if (serializable) return replica_->LocalRead(std::move(done));
  replica_->ReadIndex(deadline, std::move(done));
}

void Gate::FillHeader(etcdserverpb::ResponseHeader* header) const {
  header->set_cluster_id(options_.cluster_id);
  header->set_member_id(options_.member_id);
  header->set_raft_term(Term());
}

}  // namespace server
