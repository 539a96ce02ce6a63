// SPDX-License-Identifier: Apache-2.0
//
// range_stream.h: KV.RangeStream: a Range of any size in chunks, with one chunk in memory.
//
// The first chunk has ten keys; the next ones twice or half as many, towards --max-request-bytes. A
// chunk is read when the one before it has left; the transport sends a client away that does not
// read.
// Threads: Register before the transport starts.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/gate.h"
#include "server/parts.h"

namespace server {

class RangeStreamService {
 public:
  // All must outlive the registry's transport.
  RangeStreamService(const Gate* gate, const State* state, AnswerMemory* memory,
                     uint64_t chunk_bytes_max)
      : gate_(gate), state_(state), memory_(memory), chunk_bytes_max_(chunk_bytes_max) {}

  void Register(rpc::Registry* registry);

 private:
  class Session;
  struct Progress;

  // Of another target than the key, and no order: which etcd takes, though what it streams then
  // is not in order and may lack keys. Here it is what Range answers, in one piece.
  void SendSorted(const etcdserverpb::RangeRequest& request,
                  const std::shared_ptr<Progress>& progress) const;
  // Calls `go_on` on a read thread once there may be room, or ends the stream.
  void WaitForRoom(const std::shared_ptr<Progress>& progress, std::function<void()> go_on) const;

  const Gate* const gate_;
  const State* const state_;
  AnswerMemory* const memory_;
  const uint64_t chunk_bytes_max_;
};

}  // namespace server
