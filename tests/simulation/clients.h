// SPDX-License-Identifier: Apache-2.0
//
// clients.h: sessions that put, get, delete, compare and compact on random members, and note what
// they were told.

#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proto/etcd/raft_internal.pb.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/history.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace simulation {

struct ClientSettings {
  size_t clients = 4;
  size_t keys = 5;
  // The longest pause between an answer and the next request.
  base::Duration pause_max = std::chrono::milliseconds(400);
  // One value in so many is large.
  uint64_t large_one_in = 400;
  size_t large_bytes_max = 200 << 10;
};

class Clients {
 public:
  Clients(const ClientSettings& settings, World* world, Checker* checker,
          const std::vector<std::unique_ptr<SimNode>>* nodes)
      : settings_(settings),
        pause_max_(settings.pause_max),
        world_(world),
        checker_(checker),
        nodes_(nodes) {}

  void Start();
  // They ask no more than the slowest pipeline of a healed cluster can carry, one entry a message
  // and one message under way.
  void CalmDown() {
    pause_max_ =
        std::max<base::Duration>(pause_max_, std::chrono::milliseconds(100 * settings_.clients));
  }
  // Nobody asks anything new.
  void Stop() { stopped_ = true; }

  // A put and a linearizable read through the node; `done` says that both succeeded.
  void Probe(SimNode* node, std::function<void()> done);

  // Where somebody lives.
  SimNode* RandomNode();

  const History& history() const { return history_; }

 private:
  using Done = std::function<void(Operation*)>;

  void PlanNext(size_t client);
  void Ask(size_t client);
  Operation NewOperation(size_t client);
  void Write(SimNode* node, Operation operation, Done done);
  void Read(SimNode* node, Operation operation, Done done);
  // Shows the state of the member as it is.
  void ReadState(SimNode* node, Operation* operation);
  void Compact(SimNode* node, Operation operation, Done done);
  void Publish(SimNode* node, size_t place, const etcdserverpb::InternalRaftRequest& request,
               Done done);
  // Notes the answer to the operation at `place`, once.
  void End(size_t place, const Done& done);
  size_t Begin(Operation operation);
  std::string NewValue();

  const ClientSettings settings_;
  base::Duration pause_max_;
  World* const world_;
  Checker* const checker_;
  const std::vector<std::unique_ptr<SimNode>>* const nodes_;
  bool stopped_ = false;
  History history_;
  std::vector<bool> ended_;
  uint64_t values_ = 0;
  int64_t revision_seen_ = 1;
  // What a comparison may expect.
  std::map<std::string, std::string> value_seen_;
};

}  // namespace simulation
