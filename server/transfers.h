// SPDX-License-Identifier: Apache-2.0
//
// transfers.h: who waits until another member leads.
//
// Threads: any; `done` comes from the thread that looks, and must not block.

#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "raft/node/node.h"

namespace server {

class Transfers {
 public:
  using Done = std::function<void(absl::Status)>;

  // `to` nobody: until anybody else than `self` leads.
  void Add(raft::NodeId to, raft::NodeId self, base::TimePoint deadline, Done done);

  // Ends those whose wish is fulfilled, or whose deadline has passed.
  void Look(const raft::NodeStatus& status, base::TimePoint now);

 private:
  struct Wish {
    raft::NodeId to;
    raft::NodeId self;
    base::TimePoint deadline;
    Done done;
  };

  std::mutex mutex_;
  std::vector<Wish> wishes_;
};

}  // namespace server
