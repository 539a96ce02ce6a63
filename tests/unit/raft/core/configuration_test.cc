// SPDX-License-Identifier: Apache-2.0

#include "raft/core/configuration.h"

#include <algorithm>
#include <map>

#include "base/random.h"
#include "gtest/gtest.h"

namespace raft {
namespace {

// Nodes 10, 20, ..., so that an id is no position.
NodeId Voter(size_t number) { return NodeId(10 * (number + 1)); }

Configuration OfSize(size_t voters) {
  std::vector<NodeId> nodes;
  for (size_t i = 0; i < voters; ++i) nodes.push_back(Voter(i));
  return Configuration(nodes);
}

bool IsQuorum(const Configuration& configuration, unsigned set) {
  return configuration.IsQuorum(
      [set](NodeId node) { return (set >> (node.value() / 10 - 1) & 1) != 0; });
}

// Over all sets of voters: quorums are exactly the majorities, and every two of them meet.
TEST(Configuration, EveryTwoQuorumsMeet) {
  for (size_t voters = 1; voters <= 7; ++voters) {
    const Configuration configuration = OfSize(voters);
    const unsigned sets = 1u << voters;
    for (unsigned a = 0; a < sets; ++a) {
      const auto size = static_cast<size_t>(__builtin_popcount(a));
      EXPECT_EQ(IsQuorum(configuration, a), 2 * size > voters) << voters << " voters, set " << a;
      for (unsigned b = 0; b < sets; ++b) {
        if (IsQuorum(configuration, a) && IsQuorum(configuration, b)) {
          EXPECT_NE(a & b, 0u);
        }
      }
    }
  }
}

// The quorum index by its definition: the highest that a quorum has reached.
TEST(Configuration, QuorumIndexIsTheHighestOnAQuorum) {
  base::Random random(1);
  for (int round = 0; round < 3000; ++round) {
    const Configuration configuration = OfSize(random.Between(1, 7));
    std::map<NodeId, Index> indexes;
    for (NodeId node : configuration.voters()) indexes[node] = Index(random.Below(6));
    Index expected;
    for (uint64_t candidate = 0; candidate < 6; ++candidate) {
      if (configuration.IsQuorum([&](NodeId n) { return indexes.at(n) >= Index(candidate); })) {
        expected = Index(candidate);
      }
    }
    EXPECT_EQ(configuration.QuorumIndex([&](NodeId n) { return indexes.at(n); }), expected);
  }
}

TEST(Configuration, SortsItsVotersAndCountsNoneTwice) {
  const Configuration configuration({NodeId(3), NodeId(1), NodeId(3), NodeId(2), NodeId(1)});
  EXPECT_EQ(configuration.voters(), (std::vector<NodeId>{NodeId(1), NodeId(2), NodeId(3)}));
  EXPECT_EQ(configuration.quorum_size(), 2u);
  EXPECT_TRUE(configuration.IsVoter(NodeId(2)));
  EXPECT_FALSE(configuration.IsVoter(NodeId(4)));
}

TEST(Configuration, NobodyIsNoQuorum) {
  const Configuration nobody;
  EXPECT_FALSE(nobody.IsQuorum([](NodeId) { return true; }));
  EXPECT_EQ(nobody.QuorumIndex([](NodeId) { return Index(9); }), Index(0));
}

}  // namespace
}  // namespace raft
