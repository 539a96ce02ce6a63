// SPDX-License-Identifier: Apache-2.0

#include "rpc/grpc_unread.h"

#include <string>
#include <vector>

#include "grpc/grpc.h"

namespace rpc {
namespace {

constexpr size_t kBytesPerSecondMin = 256 << 10;

}  // namespace

CancellableCall::CancellableCall(grpc_call* call) : call_(call) { grpc_call_ref(call_); }

CancellableCall::~CancellableCall() { grpc_call_unref(call_); }

void CancellableCall::Cancel(const absl::Status& status) const {
  grpc_call_cancel_with_status(call_, static_cast<grpc_status_code>(status.code()),
                               std::string(status.message()).c_str(), nullptr);
}

UnreadWrites::Ticket UnreadWrites::Begin(std::shared_ptr<const CancellableCall> call,
                                         size_t bytes) {
  const base::TimePoint due =
      clock_.Now() + patience_ + std::chrono::seconds(bytes / kBytesPerSecondMin);
  std::lock_guard lock(mutex_);
  const Ticket ticket(due, ++begun_);
  writes_.emplace(ticket, std::move(call));
  return ticket;
}

void UnreadWrites::End(const Ticket& ticket) {
  // Goes last: it may be the call's last reference.
  std::shared_ptr<const CancellableCall> call;
  std::lock_guard lock(mutex_);
  const auto found = writes_.find(ticket);
  if (found == writes_.end()) return;
  call = std::move(found->second);
  writes_.erase(found);
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
