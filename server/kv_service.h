// SPDX-License-Identifier: Apache-2.0
//
// kv_service.h: etcdserverpb.KV: check, then the gate, then the answer. (RangeStream is in
// range_stream.h.)

#pragma once

#include <memory>

#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/compaction_waiters.h"
#include "server/gate.h"
#include "server/parts.h"
#include "server/space_gate.h"

namespace server {

class KvService {
 public:
  // All must outlive the registry's transport.
  KvService(const Gate* gate, const SpaceGate* space, const State* state, AnswerMemory* memory,
            CompactionWaiters* compactions, int max_txn_ops)
      : gate_(gate),
        space_(space),
        state_(state),
        memory_(memory),
        compactions_(compactions),
        max_txn_ops_(max_txn_ops) {}

  void Register(rpc::Registry* registry) const;

 private:
  void Range(const rpc::Call& call, etcdserverpb::RangeRequest request, rpc::UnaryDone done) const;
  // Reads and answers, now or when there is memory for it.
  void AnswerRange(std::shared_ptr<const etcdserverpb::RangeRequest> request,
                   base::TimePoint deadline, rpc::UnaryDone done) const;
  // Publishes what answers with values, now or when there is memory for them.
  void Write(const rpc::Call& call,
             std::shared_ptr<const etcdserverpb::InternalRaftRequest> command, bool takes_space,
             base::TimePoint deadline, rpc::UnaryDone done) const;
  void Put(const rpc::Call& call, etcdserverpb::PutRequest request, rpc::UnaryDone done) const;
  void DeleteRange(const rpc::Call& call, etcdserverpb::DeleteRangeRequest request,
                   rpc::UnaryDone done) const;
  void Txn(const rpc::Call& call, etcdserverpb::TxnRequest request, rpc::UnaryDone done) const;
  // As AnswerRange.
  void AnswerTxn(std::shared_ptr<const etcdserverpb::TxnRequest> request, base::TimePoint deadline,
                 rpc::UnaryDone done) const;
  // Calls `go_on` on a read thread once there may be memory, or ends the call.
  void WaitForMemory(base::TimePoint deadline, rpc::UnaryDone done,
                     std::function<void()> go_on) const;
  void Compact(const rpc::Call& call, etcdserverpb::CompactionRequest request,
               rpc::UnaryDone done) const;

  const Gate* const gate_;
  const SpaceGate* const space_;
  const State* const state_;
  AnswerMemory* const memory_;
  CompactionWaiters* const compactions_;
  const int max_txn_ops_;
};

}  // namespace server
