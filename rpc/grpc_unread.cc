// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_unread.h"

#include <algorithm>
#include <string>
#include <vector>

#include "grpc/grpc.h"

namespace rpc {
namespace {

constexpr int64_t kBytesPerSecondMin = 256 << 10;

base::Duration TimeOf(size_t bytes) {
  return base::Duration(std::chrono::seconds(bytes)) / kBytesPerSecondMin;
}

}  // namespace

CancellableCall::CancellableCall(grpc_call* call) : call_(call) { grpc_call_ref(call_); }

CancellableCall::~CancellableCall() { grpc_call_unref(call_); }

void CancellableCall::Cancel(const absl::Status& status) const {
  grpc_call_cancel_with_status(call_, static_cast<grpc_status_code>(status.code()),
                               std::string(status.message()).c_str(), nullptr);
}

UnreadWrites::Ticket UnreadWrites::Begin(std::shared_ptr<const CancellableCall> call, size_t bytes,
                                         base::Duration allowance) {
  const base::TimePoint due = clock_.Now() + allowance + TimeOf(bytes);
  std::lock_guard lock(mutex_);
  const Ticket ticket(due, ++begun_);
  writes_.emplace(ticket, std::move(call));
  return ticket;
}

base::Duration UnreadWrites::End(const Ticket& ticket) {
  const base::Duration left = std::min(ticket.first - clock_.Now(), patience_);
  // Goes last: it may be the call's last reference.
  std::shared_ptr<const CancellableCall> call;
  std::lock_guard lock(mutex_);
  const auto found = writes_.find(ticket);
  if (found == writes_.end()) return left;
  call = std::move(found->second);
  writes_.erase(found);
  return left;
}

void UnreadWrites::Look() {
  const base::TimePoint now = clock_.Now();
  std::vector<std::shared_ptr<const CancellableCall>> overdue;
  {
    std::lock_guard lock(mutex_);
    while (!writes_.empty() && writes_.begin()->first.first <= now) {
      overdue.push_back(std::move(writes_.begin()->second));
      writes_.erase(writes_.begin());
    }
  }
  for (const auto& call : overdue) {
    call->Cancel(absl::DeadlineExceededError("datum: the client does not read its answer"));
  }
}

}  // namespace rpc
