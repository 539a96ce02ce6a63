// SPDX-License-Identifier: Apache-2.0

#include "raft/core/configuration.h"

#include <algorithm>

namespace raft {
namespace {

// More members than this are a broken message, not a cluster.
constexpr uint64_t kMembersMax = 1024;

void SortUnique(std::vector<NodeId>* nodes) {
  std::sort(nodes->begin(), nodes->end());
  nodes->erase(std::unique(nodes->begin(), nodes->end()), nodes->end());
}

void PutFixed64(uint64_t value, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

bool TakeFixed64(std::string_view* in, uint64_t* value) {
  if (in->size() < 8) return false;
  *value = 0;
  for (size_t i = 0; i < 8; ++i) {
    *value |= static_cast<uint64_t>(static_cast<uint8_t>((*in)[i])) << (8 * i);
  }
  in->remove_prefix(8);
  return true;
}

void PutNodes(const std::vector<NodeId>& nodes, std::string* out) {
  PutFixed64(nodes.size(), out);
  for (NodeId node : nodes) PutFixed64(node.value(), out);
}

bool TakeNodes(std::string_view* in, std::vector<NodeId>* nodes) {
  uint64_t count = 0;
  if (!TakeFixed64(in, &count) || count > kMembersMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t node = 0;
    if (!TakeFixed64(in, &node) || node == 0) return false;
    nodes->push_back(NodeId(node));
  }
  return true;
}

}  // namespace

Configuration::Configuration(std::vector<NodeId> voters, std::vector<NodeId> learners)
    : voters_(std::move(voters)), learners_(std::move(learners)) {
  SortUnique(&voters_);
  SortUnique(&learners_);
  std::erase_if(learners_, [this](NodeId node) { return IsVoter(node); });
}

bool Configuration::IsVoter(NodeId node) const {
  return std::binary_search(voters_.begin(), voters_.end(), node);
}

bool Configuration::IsLearner(NodeId node) const {
  return std::binary_search(learners_.begin(), learners_.end(), node);
}

std::vector<NodeId> Configuration::members() const {
  std::vector<NodeId> all = voters_;
  all.insert(all.end(), learners_.begin(), learners_.end());
  return all;
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

bool Configuration::MayBecome(const Configuration& next) const {
  std::vector<NodeId> changed;
  std::set_symmetric_difference(voters_.begin(), voters_.end(), next.voters_.begin(),
                                next.voters_.end(), std::back_inserter(changed));
  return changed.size() <= 1 && !next.voters_.empty();
}

std::string EncodeConfigurationCommand(const Configuration& configuration,
                                       std::string_view payload) {
  std::string command;
  PutNodes(configuration.voters(), &command);
  PutNodes(configuration.learners(), &command);
  command.append(payload);
  return command;
}

std::optional<ConfigurationCommand> DecodeConfigurationCommand(std::string_view command) {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
  if (!TakeNodes(&command, &voters) || !TakeNodes(&command, &learners)) return std::nullopt;
  return ConfigurationCommand{Configuration(std::move(voters), std::move(learners)), command};
}

}  // namespace raft
