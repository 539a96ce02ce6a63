// SPDX-License-Identifier: Apache-2.0

#include "server/transfers.h"

#include <utility>

#include "server/errors.h"

namespace server {

void Transfers::Add(raft::NodeId to, const raft::NodeStatus& asked, base::TimePoint deadline,
                    Done done) {
  std::lock_guard lock(mutex_);
  wishes_.push_back({to, asked.self, asked.term, deadline, std::move(done)});
}

void Transfers::Look(const raft::NodeStatus& status, base::TimePoint now) {
  std::vector<std::pair<Done, absl::Status>> ended;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(wishes_, [&](Wish& wish) {
      const bool fulfilled = wish.to == raft::kNobody
                                 ? status.leader != raft::kNobody && status.leader != wish.self
                                 : status.leader == wish.to;
      const bool in_vain = status.term > wish.term && status.leader != raft::kNobody;
      if (!fulfilled && !in_vain && now < wish.deadline) return false;
      ended.push_back({std::move(wish.done),
                       fulfilled ? absl::OkStatus() : ErrorStatus(WireError::kTransferTimeout)});
      return true;
    });
  }
  for (const auto& [done, status_of_it] : ended) done(status_of_it);
}

}  // namespace server
