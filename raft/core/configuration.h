// SPDX-License-Identifier: Apache-2.0
//
// configuration.h: who votes, who only learns, and what a quorum is.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/types.h"

namespace raft {

// The members of the cluster. All quorum arithmetic of the algorithm is here.
class Configuration {
 public:
  Configuration() = default;
  // Sorts both and drops duplicates; who votes is no learner.
  explicit Configuration(std::vector<NodeId> voters, std::vector<NodeId> learners = {});

  const std::vector<NodeId>& voters() const { return voters_; }
  // They get the log and have no say.
  const std::vector<NodeId>& learners() const { return learners_; }
  bool IsVoter(NodeId node) const;
  bool IsLearner(NodeId node) const;
  bool IsMember(NodeId node) const { return IsVoter(node) || IsLearner(node); }
  std::vector<NodeId> members() const;

  // The smallest number of voters that intersects every other such set.
  size_t quorum_size() const { return voters_.size() / 2 + 1; }

  // Whether the voters for which `has` is true are a quorum.
  bool IsQuorum(const std::function<bool(NodeId)>& has) const;

  // The highest index that a quorum has reached, given each voter's. 0 without voters.
  Index QuorumIndex(const std::function<Index(NodeId)>& index_of) const;

  // Whether every quorum of this one meets every quorum of `next`: at most one voter comes or
  // goes (thesis 4.1), and somebody votes.
  bool MayBecome(const Configuration& next) const;

  friend bool operator==(const Configuration&, const Configuration&) = default;

 private:
  std::vector<NodeId> voters_;    // ascending, unique
  std::vector<NodeId> learners_;  // likewise; none of them a voter
};

// What an entry of kind kConfiguration holds: the configuration, for the algorithm, and what
// belongs to it in the words of the state machine, as its payload.
std::string EncodeConfigurationCommand(const Configuration& configuration,
                                       std::string_view payload);

struct ConfigurationCommand {
  Configuration configuration;
  std::string_view payload;  // of the decoded command
};
// Nothing if `command` holds no configuration.
std::optional<ConfigurationCommand> DecodeConfigurationCommand(std::string_view command);

}  // namespace raft
