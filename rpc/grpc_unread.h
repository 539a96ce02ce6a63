// SPDX-License-Identifier: Apache-2.0
//
// grpc_unread.h: calls that can be ended from outside, and those whose clients let answers lie.
//
// HTTP/2 lets a client stop reading and keep its call: what was written to it stays here for as
// long as it likes. So what is large, or holds something back, is given a time to be taken; small
// answers only while there are many, so that those that are taken at once cost next to nothing.
//
// Threads: any. None of it calls back under a lock, but cancelling a call may call its reactor on
//          the spot.

#pragma once

#include <atomic>
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

  base::Duration patience() const { return patience_; }

  // A write begins. *call is cancelled if it takes longer than `allowance` and the time that its
  // bytes may take.
  Ticket Begin(std::shared_ptr<const CancellableCall> call, size_t bytes, base::Duration allowance);
  // It has left, or will never. Returns what is left of the allowance for the call's next write, at
  // most the patience: who reads drop by drop uses it up, and who was fast has no more than others.
  base::Duration End(const Ticket& ticket);

  // A write of a small answer begins. True if so many lie here that this one needs a ticket.
  bool BeginSmall() { return small_.fetch_add(1, std::memory_order_relaxed) >= kSmallMax; }
  void EndSmall() { small_.fetch_sub(1, std::memory_order_relaxed); }

  // Cancels the calls whose writes are overdue.
  void Look();

 private:
  static constexpr size_t kSmallMax = 1'000;

  const base::Clock& clock_;
  const base::Duration patience_;
  std::mutex mutex_;
  // By when they are due. Guarded by mutex_.
  std::map<Ticket, std::shared_ptr<const CancellableCall>> writes_;
  uint64_t begun_ = 0;
  std::atomic<size_t> small_ = 0;
};

}  // namespace rpc
