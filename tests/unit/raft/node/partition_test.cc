// SPDX-License-Identifier: Apache-2.0
//
// Whatever links are cut, in one direction or both: as long as some member and a quorum hear each
// other, there is a leader that serves, soon, and it stays. (Cloudflare, 2020-11-02: six hours
// without one, by a single half-broken link; Howard and Abraham, "Raft does not guarantee liveness
// in the face of network faults".)

#include <map>

#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/node/driver.h"
#include "tests/unit/raft/node/virtual_cluster.h"

namespace raft {
namespace {

// [from][to], of members counted from 0.
using Graph = std::vector<std::vector<bool>>;

class PartitionTest : public testing::Test {
 protected:
  static size_t QuorumOf(const Graph& graph) { return graph.size() / 2 + 1; }

  // With how many, itself too, the member can speak and hear.
  static size_t CompanyOf(const Graph& graph, size_t member) {
    size_t company = 0;
    for (size_t other = 0; other < graph.size(); ++other) {
      company += other == member || (graph[member][other] && graph[other][member]) ? 1 : 0;
    }
    return company;
  }

  static bool SomebodyMayLead(const Graph& graph) {
    for (size_t member = 0; member < graph.size(); ++member) {
      if (CompanyOf(graph, member) >= QuorumOf(graph)) return true;
    }
    return false;
  }

  static std::string Text(const Graph& graph, NodeId leader) {
    std::string text = "n" + std::to_string(leader.value()) + " led; cut:";
    for (size_t from = 0; from < graph.size(); ++from) {
      for (size_t to = 0; to < graph.size(); ++to) {
        if (from == to || graph[from][to]) continue;
        text += " " + std::to_string(from + 1) + ">" + std::to_string(to + 1);
      }
    }
    return text;
  }

  // Who leads in the newest term, and hears a quorum.
  static VirtualMember* Leader(VirtualCluster* cluster, const Graph& graph) {
    VirtualMember* found = nullptr;
    for (uint64_t id = 1; id <= graph.size(); ++id) {
      VirtualMember& member = cluster->at(NodeId(id));
      if (member.driver.core().role() != Role::kLeader) continue;
      if (found == nullptr ||
          found->driver.core().current_term() < member.driver.core().current_term()) {
        found = &member;
      }
    }
    return found;
  }

  // True if a write through `member` is applied within an election timeout.
  static bool Serves(VirtualCluster* cluster, VirtualMember* member, base::Duration timeout) {
    auto applied = std::make_shared<bool>(false);
    WaitingPublish publish{"w", cluster->now() + timeout, [applied](PublishOutcome outcome) {
                             *applied = outcome.kind == PublishOutcome::Kind::kApplied;
                           }};
    EXPECT_TRUE(member->inbox.TryPush(&publish));
    cluster->Run(timeout);
    return *applied;
  }

  void Check(const Graph& graph) {
    VirtualCluster cluster(graph.size());
    const NodeId led = cluster.AwaitLeader();
    const base::Duration timeout = NodeOptions().election_timeout;
    cluster.Run(timeout);
    const Term term = cluster.at(led).driver.core().current_term();
    for (size_t from = 0; from < graph.size(); ++from) {
      for (size_t to = 0; to < graph.size(); ++to) {
        if (from != to && !graph[from][to]) cluster.Cut(NodeId(from + 1), NodeId(to + 1));
      }
    }
    cluster.Run(4 * timeout);
    VirtualMember* leader = Leader(&cluster, graph);
    ASSERT_NE(leader, nullptr) << Text(graph, led);
    EXPECT_TRUE(Serves(&cluster, leader, timeout)) << Text(graph, led);
    const Term reached = leader->driver.core().current_term();
    highest_rise_ = std::max(highest_rise_, reached.value() - term.value());
    // It stays.
    cluster.Run(20 * timeout);
    EXPECT_EQ(Leader(&cluster, graph), leader) << Text(graph, led);
    EXPECT_EQ(leader->driver.core().current_term(), reached) << Text(graph, led);
  }

  uint64_t highest_rise_ = 0;
};

TEST_F(PartitionTest, EveryDirectedGraphOfThree) {
  size_t checked = 0;
  for (unsigned bits = 0; bits < 64; ++bits) {
    Graph graph(3, std::vector<bool>(3, true));
    unsigned bit = 0;
    for (size_t from = 0; from < 3; ++from) {
      for (size_t to = 0; to < 3; ++to) {
        if (from != to) graph[from][to] = (bits >> bit++ & 1) != 0;
      }
    }
    if (!SomebodyMayLead(graph)) continue;
    ++checked;
    Check(graph);
  }
  EXPECT_EQ(checked, 37u);
  EXPECT_LE(highest_rise_, 2u);
}

TEST_F(PartitionTest, EveryUndirectedGraphOfFive) {
  for (unsigned bits = 0; bits < 1024; ++bits) {
    Graph graph(5, std::vector<bool>(5, true));
    unsigned bit = 0;
    for (size_t one = 0; one < 5; ++one) {
      for (size_t other = one + 1; other < 5; ++other) {
        graph[one][other] = graph[other][one] = (bits >> bit++ & 1) != 0;
      }
    }
    if (SomebodyMayLead(graph)) Check(graph);
  }
  EXPECT_LE(highest_rise_, 3u);
}

TEST_F(PartitionTest, SomeDirectedGraphsOfFive) {
  base::Random random(7);
  for (size_t checked = 0; checked < 300;) {
    Graph graph(5, std::vector<bool>(5, true));
    for (auto& row : graph) {
      for (size_t to = 0; to < 5; ++to) row[to] = random.Chance(0.7);
    }
    if (!SomebodyMayLead(graph)) continue;
    ++checked;
    Check(graph);
  }
  EXPECT_LE(highest_rise_, 4u);
}

}  // namespace
}  // namespace raft
