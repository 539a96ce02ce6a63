// SPDX-License-Identifier: Apache-2.0
//
// configuration.h: who votes, and what a quorum of them is.

#pragma once

#include <functional>
#include <vector>

#include "raft/core/types.h"

namespace raft {

// The voters of the cluster. All quorum arithmetic of the algorithm is here.
class Configuration {
 public:
  Configuration() = default;
  // Sorts `voters` and drops duplicates.
  explicit Configuration(std::vector<NodeId> voters);

  const std::vector<NodeId>& voters() const { return voters_; }
  bool IsVoter(NodeId node) const;

  // The smallest number of voters that intersects every other such set.
  size_t quorum_size() const { return voters_.size() / 2 + 1; }

  // Whether the voters for which `has` is true are a quorum.
  bool IsQuorum(const std::function<bool(NodeId)>& has) const;

  // The highest index that a quorum has reached, given each voter's. 0 without voters.
  Index QuorumIndex(const std::function<Index(NodeId)>& index_of) const;

 private:
  std::vector<NodeId> voters_;  // ascending, unique
};

}  // namespace raft
