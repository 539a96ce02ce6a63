// SPDX-License-Identifier: Apache-2.0
//
// Nodes with their real threads, on ports in memory. What takes virtual time is in driver_test.

#include "raft/node/node.h"

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/time.h"
#include "gtest/gtest.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {
namespace {

// More than any machine needs; a test that waits so long fails.
constexpr base::Duration kPatience = std::chrono::seconds(30);

class Cluster {
 public:
  explicit Cluster(size_t size) {
    NodeOptions options;
    options.heartbeat_interval = std::chrono::milliseconds(20);
    options.election_timeout = std::chrono::milliseconds(200);
    for (uint64_t id = 1; id <= size; ++id) options.voters.push_back(NodeId(id));
    for (NodeId self : options.voters) {
      options.self = self;
      options.random_seed = self.value();
      auto member = std::make_unique<Member>();
      member->transport =
          std::make_unique<FakeTransport>(&member->journal, [this](NodeId to, std::string bytes) {
            members_.at(to.value() - 1)->node->Receive(std::move(bytes));
          });
      member->node = std::make_unique<Node>(
          options, NodeStart{},
          NodePorts{&clock_, &member->log, &member->promises, &member->machine,
                    member->transport.get(), &member->snapshots},
          nullptr);
      members_.push_back(std::move(member));
    }
    for (auto& member : members_) member->node->Start();
  }
  // All threads end before any node goes.
  ~Cluster() { Stop(); }
  void Stop() {
    for (auto& member : members_) member->node->Stop();
  }

  PublishOutcome Publish(uint64_t id, const std::string& command) {
    std::promise<PublishOutcome> promise;
    node(id).Publish(command, clock_.Now() + kPatience,
                     [&promise](PublishOutcome outcome) { promise.set_value(std::move(outcome)); });
    return promise.get_future().get();
  }
  ReadOutcome Read(uint64_t id) {
    std::promise<ReadOutcome> promise;
    node(id).ReadIndex(clock_.Now() + kPatience,
                       [&promise](ReadOutcome outcome) { promise.set_value(outcome); });
    return promise.get_future().get();
  }

  Node& node(uint64_t id) { return *members_.at(id - 1)->node; }
  FakeMachine& machine(uint64_t id) { return members_.at(id - 1)->machine; }

 private:
  struct Member {
    Journal journal;
    FakeLog log{&journal};
    FakePromises promises{&journal};
    FakeMachine machine;
    FakeSnapshots snapshots{&journal};
    std::unique_ptr<FakeTransport> transport;
    std::unique_ptr<Node> node;
  };
  const base::SystemClock clock_;
  std::vector<std::unique_ptr<Member>> members_;
};

TEST(Node, AloneItServes) {
  Cluster cluster(1);
  const PublishOutcome outcome = cluster.Publish(1, "a");
  EXPECT_EQ(outcome.kind, PublishOutcome::Kind::kApplied);
  EXPECT_EQ(outcome.result.response, "done a");
  EXPECT_EQ(cluster.Read(1), ReadOutcome::kReady);
  EXPECT_EQ(cluster.node(1).status().role, Role::kLeader);
}

// A read on any member sees what was acknowledged by any other before.
TEST(Node, ThreeMembersPublishAndRead) {
  Cluster cluster(3);
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 10; ++round) {
    for (uint64_t id = 1; id <= 3; ++id) {
      const std::string command = std::to_string(round) + "@" + std::to_string(id);
      const PublishOutcome outcome = cluster.Publish(id, command);
      if (outcome.kind != PublishOutcome::Kind::kApplied) continue;  // a leader changed
      acknowledged.push_back(command);
      const uint64_t reader = id % 3 + 1;
      ASSERT_EQ(cluster.Read(reader), ReadOutcome::kReady);
      const std::vector<std::string> seen = cluster.machine(reader).commands();
      EXPECT_TRUE(std::find(seen.begin(), seen.end(), command) != seen.end()) << command;
    }
  }
  EXPECT_GE(acknowledged.size(), 20u);
  cluster.Stop();
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_TRUE(cluster.machine(id).in_order());
}

TEST(Node, ManyAtOnceAreEachAnsweredOnce) {
  constexpr int kPublishes = 2000;
  Cluster cluster(3);
  ASSERT_EQ(cluster.Read(1), ReadOutcome::kReady);
  const base::SystemClock clock;
  std::atomic<int> applied = 0;
  std::atomic<int> ended = 0;
  std::promise<void> all;
  for (int i = 0; i < kPublishes; ++i) {
    cluster.node(static_cast<uint64_t>(i % 3 + 1))
        .Publish("x", clock.Now() + kPatience, [&](const PublishOutcome& outcome) {
          if (outcome.kind == PublishOutcome::Kind::kApplied) ++applied;
          if (++ended == kPublishes) all.set_value();
        });
  }
  all.get_future().wait();
  cluster.Stop();
  EXPECT_EQ(ended, kPublishes);
  // Nothing was applied twice, and nothing that was acknowledged is missing.
  size_t most = 0;
  for (uint64_t id = 1; id <= 3; ++id) {
    most = std::max(most, cluster.machine(id).commands().size());
  }
  EXPECT_GE(most, static_cast<size_t>(applied));
  EXPECT_LE(most, static_cast<size_t>(kPublishes));
}

TEST(Node, GarbageFromPeersIsSurvived) {
  Cluster cluster(1);
  cluster.node(1).Receive("");
  cluster.node(1).Receive(std::string(1000, '\xff'));
  EXPECT_EQ(cluster.Publish(1, "a").kind, PublishOutcome::Kind::kApplied);
}

TEST(Node, WhatComesAfterTheEndIsAnsweredToo) {
  Cluster cluster(1);
  cluster.Stop();
  cluster.Stop();
  EXPECT_EQ(cluster.Publish(1, "late").kind, PublishOutcome::Kind::kDropped);
  EXPECT_EQ(cluster.Read(1), ReadOutcome::kStopped);
}

TEST(NodeOptions, AreChecked) {
  NodeOptions options;
  EXPECT_FALSE(options.Validate().ok());
  options.self = NodeId(1);
  EXPECT_TRUE(options.Validate().ok());
  options.election_timeout = 4 * options.heartbeat_interval;
  EXPECT_FALSE(options.Validate().ok());
}

// Whatever comes while the node stops is answered, and once.
TEST(Node, AnswersEachCallerOnceThoughItStops) {
  for (int round = 0; round < 20; ++round) {
    Cluster cluster(1);
    ASSERT_EQ(cluster.Publish(1, "first").kind, PublishOutcome::Kind::kApplied);
    std::atomic<int> asked = 0;
    std::atomic<int> answered = 0;
    std::atomic<bool> stopped = false;
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        const base::SystemClock clock;
        while (!stopped) {
          asked += 3;
          const base::TimePoint deadline = clock.Now() + kPatience;
          cluster.node(1).Publish("x", deadline, [&](PublishOutcome) { ++answered; });
          cluster.node(1).ReadIndex(deadline, [&](ReadOutcome) { ++answered; });
          cluster.node(1).LocalRead([&](ReadOutcome) { ++answered; });
        }
      });
    }
    while (answered < 100) std::this_thread::yield();
    cluster.Stop();
    stopped = true;
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(answered, asked) << "round " << round;
  }
}

}  // namespace
}  // namespace raft
