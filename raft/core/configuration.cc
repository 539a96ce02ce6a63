// SPDX-License-Identifier: Apache-2.0

#include "raft/core/configuration.h"

#include <algorithm>

namespace raft {

Configuration::Configuration(std::vector<NodeId> voters) : voters_(std::move(voters)) {
  std::sort(voters_.begin(), voters_.end());
  voters_.erase(std::unique(voters_.begin(), voters_.end()), voters_.end());
}

bool Configuration::IsVoter(NodeId node) const {
  return std::binary_search(voters_.begin(), voters_.end(), node);
}

bool Configuration::IsQuorum(const std::function<bool(NodeId)>& has) const {
  const auto count = static_cast<size_t>(std::count_if(voters_.begin(), voters_.end(), has));
  return !voters_.empty() && count >= quorum_size();
}

Index Configuration::QuorumIndex(const std::function<Index(NodeId)>& index_of) const {
  if (voters_.empty()) return Index{};
  std::vector<Index> reached;
  reached.reserve(voters_.size());
  for (NodeId voter : voters_) reached.push_back(index_of(voter));
  // Descending: the quorum_size()-th largest is reached by that many voters.
  const auto at = reached.begin() + static_cast<ptrdiff_t>(quorum_size() - 1);
  std::nth_element(reached.begin(), at, reached.end(), std::greater<>());
  return *at;
}

}  // namespace raft
