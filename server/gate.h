// SPDX-License-Identifier: Apache-2.0
//
// gate.h: the two ways a service's request goes into the replica, with limits, deadlines and
// errors as clients expect them.
//
// Threads: any. `done` is called exactly once.

#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "base/time.h"
#include "proto/etcd/raft_internal.pb.h"
#include "rpc/handler.h"
#include "server/parts.h"

namespace server {

struct GateOptions {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  uint64_t max_request_bytes = 1'572'864;
  base::Duration request_timeout = std::chrono::seconds(7);
  base::Duration election_timeout = std::chrono::seconds(1);
};

class Gate {
 public:
  // `replica` and `clock` must outlive the gate.
  Gate(const GateOptions& options, Replica* replica, const base::Clock* clock);

  // A write: `done` gets the answer's bytes.
  void Publish(const rpc::Call& call, const etcdserverpb::InternalRaftRequest& request,
               rpc::UnaryDone done) const;

  // A read: `read` runs once this member's state is linearizable, on a thread that may wait for
  // a disk, or gets the error. `serializable`: at once, from the state as it is.
  void Read(const rpc::Call& call, bool serializable, std::function<void(absl::Status)> read) const;

  // From now on what has no answer says that the server stops.
  void BeginStop() { stopping_ = true; }
  bool stopping() const { return stopping_; }

  // The term for a header.
  uint64_t Term() const { return replica_->status().term.value(); }

  // The header of an answer that speaks for no revision.
  void FillHeader(etcdserverpb::ResponseHeader* header) const;

  // Learners and members whose state is lost serve neither writes nor linearizable reads.
  absl::Status CheckServed() const;
  // Clients that say "hasleader" would rather hear at once that there is none.
  absl::Status CheckLeaderWanted(const rpc::Call& call) const;

  base::TimePoint DeadlineOf(const rpc::Call& call) const;
  base::TimePoint Now() const { return clock_->Now(); }

  const GateOptions& options() const { return options_; }
  Replica& replica() const { return *replica_; }

 private:
  const GateOptions options_;
  // What etcd's log would hold of a request besides the request.
  const uint64_t header_bytes_;
  Replica* const replica_;
  const base::Clock* const clock_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace server
