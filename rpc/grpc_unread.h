// SPDX-License-Identifier: Apache-2.0
//
// grpc_unread.h: calls that can be ended from outside, and those whose clients let answers lie.
//
// HTTP/2 lets a client stop reading and keep its call: what was written to it stays here for as
// long as it likes. So what is large, or holds something back, is given a time to be taken.
//
// Threads: any. None of it calls back under a lock, but cancelling a call may call its reactor on
//          the spot.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "base/time.h"

struct grpc_call;

namespace rpc {

// A call that may be cancelled at any time, also when it is over.
class CancellableCall {
 public:
  explicit CancellableCall(grpc_call* call);
  ~CancellableCall();
  CancellableCall(const CancellableCall&) = delete;
  CancellableCall& operator=(const CancellableCall&) = delete;

  // Ends it at once: what waits in grpc++ is dropped, and the client is told the status, which flow
  // control does not hold up. Nothing if it has ended.
  void Cancel(const absl::Status& status) const;

 private:
  grpc_call* const call_;
};

class UnreadWrites {
 public:
  using Ticket = std::pair<base::TimePoint, uint64_t>;

  // A write has `patience` to be taken, and a second more for each 256 KiB.
  UnreadWrites(const base::Clock* clock, base::Duration patience)
      : clock_(*clock), patience_(patience) {}

  // A write begins, for which *call is cancelled if it takes too long.
  Ticket Begin(std::shared_ptr<const CancellableCall> call, size_t bytes);
  // It has left, or will never.
  void End(const Ticket& ticket);

  // Cancels the calls whose writes are overdue.
  void Look();

 private:
  const base::Clock& clock_;
  const base::Duration patience_;
  std::mutex mutex_;
  // By when they are due. Guarded by mutex_.
  std::map<Ticket, std::shared_ptr<const CancellableCall>> writes_;
  uint64_t begun_ = 0;
};

}  // namespace rpc
