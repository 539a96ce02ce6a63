// SPDX-License-Identifier: Apache-2.0
//
// turns.h: sessions in a queue, as locks and elections need it: each has a key under a name, bound
// to its lease, and it is the turn of the key that was created first.
//
// Keys are etcd's (`name/<lease in hex>`), so that clients that queue by themselves and those that
// leave it to the server wait for each other.
//
// Threads: any. `done` is called exactly once. Errors: as etcd's, whose server does this as a
// client of itself: every error is code Unknown with its text, but for a call that nobody waits
// for.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"
#include "rpc/handler.h"
#include "server/gate.h"
#include "server/key_waiters.h"
#include "server/lease_service.h"
#include "server/parts.h"
#include "server/space_gate.h"

namespace server {

// As an error of etcd's client inside etcd's server goes on the wire.
absl::Status AsUnknown(const absl::Status& status);

// Reads and compares that locks and elections are made of.
etcdserverpb::RangeRequest FirstCreatedUnder(const std::string& prefix);
// If the key is still the one created then, `then` is done.
etcdserverpb::TxnRequest IfCreatedAt(const std::string& key, int64_t create_revision,
                                     const etcdserverpb::RequestOp& then);

class Turns {
 public:
  // A session's place in a queue.
  struct Place {
    std::string prefix;
    std::string key;
    int64_t create_revision = 0;
    int64_t lease = 0;
    // What the key held when it was looked at, and whether it was there before.
    std::string value;
    bool was_there = false;
    bool is_first = false;
    etcdserverpb::ResponseHeader header;
  };

  // All must outlive the calls.
  Turns(const Gate* gate, const SpaceGate* space, const State* state, const LeaseService* leases,
        KeyWaiters* waiters, int max_txn_ops)
      : gate_(gate),
        space_(space),
        state_(state),
        leases_(leases),
        waiters_(waiters),
        max_txn_ops_(max_txn_ops) {}

  // Puts `value` under the session's key unless that is there. Lease 0: a lease is granted, for a
  // minute, as etcd does; like any other it is not renewed here, not even while its place waits.
  using Entered = std::function<void(absl::StatusOr<Place>)>;
  void Enter(const rpc::Call& call, const std::string& name, int64_t lease,
             const std::string& value, Entered done) const;
  // Waits until no key of the queue is older. If nobody waits for the answer any more, the place is
  // given up.
  using Awaited = std::function<void(absl::Status)>;
  void Await(const rpc::Call& call, const Place& place, Awaited done) const;
  // Deletes the key if it is still that place's, without waiting.
  void Leave(const Place& place) const;

  // A Txn, checked as a client's, with its answer decoded.
  using TxnDone = std::function<void(absl::StatusOr<etcdserverpb::TxnResponse>)>;
  void Run(const rpc::Call& call, etcdserverpb::TxnRequest txn, TxnDone done) const;
  // A linearizable Range.
  using RangeDone = std::function<void(absl::StatusOr<etcdserverpb::RangeResponse>)>;
  void Read(const rpc::Call& call, etcdserverpb::RangeRequest range, RangeDone done) const;

  const Gate& gate() const { return *gate_; }
  const State& state() const { return *state_; }
  KeyWaiters& waiters() const { return *waiters_; }

 private:
  class Waiter;

  const Gate* const gate_;
  const SpaceGate* const space_;
  const State* const state_;
  const LeaseService* const leases_;
  KeyWaiters* const waiters_;
  const int max_txn_ops_;
};

}  // namespace server
