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

  // `asked`: of the node that leads and is asked. `to` nobody: until anybody else leads.
  void Add(raft::NodeId to, const raft::NodeStatus& asked, base::TimePoint deadline, Done done);

  // Ends those whose wish is fulfilled, has come to nothing because a later term has another
  // leader, or whose deadline has passed.
  void Look(const raft::NodeStatus& status, base::TimePoint now);

 private:
  struct Wish {
    raft::NodeId to;
    raft::NodeId self;
    raft::Term term;
    base::TimePoint deadline;
    Done done;
  };

  std::mutex mutex_;
  std::vector<Wish> wishes_;
};

}  // namespace server
