// SPDX-License-Identifier: Apache-2.0
//
// virtual_cluster.h: drivers with all their parts, in one thread and under virtual time, on a
// network that delivers at once or not at all.

#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "raft/node/driver.h"
#include "tests/unit/raft/node/fakes.h"

namespace raft {

struct VirtualMember {
  VirtualMember(const NodeOptions& options, base::TimePoint now, FakeTransport::Deliver deliver)
      : self(options.self),
        transport(&journal, std::move(deliver)),
        inbox(options.inbox_publishes_max, options.inbox_bytes_max),
        driver(options, NodeStart{},
               {&inbox, &sender, &log, &log_writer, &applier, &publishes, &answers, &reads,
                &fetches, &snapshots},
               now, [this](const NodeStatus& status) { statuses.push_back(status); }) {
    driver.set_on_step([this](const CoreView& before, const Effects& effects) {
      CheckInvariants(driver.core());
      CheckStep(before, CoreView::Of(driver.core()), effects);
    });
  }

  // Everything that its threads would do now. False if there was nothing.
  bool Turn(base::TimePoint now) {
    driver.RunOnce(now);
    bool busy = log_writer.RunOnce();
    busy = applier.RunOnce() || busy;
    while (answers.RunSome() || reads.RunSome() || fetches.RunSome()) busy = true;
    return busy;
  }

  const NodeId self;
  Journal journal;
  FakeLog log{&journal};
  FakePromises promises{&journal};
  FakeMachine machine;
  FakeTransport transport;
  FakeSnapshots snapshots{&journal};
  Sender sender{&transport};
  Inbox inbox;
  PublishTable publishes;
  AnswerQueue answers;
  AnswerQueue reads;
  AnswerQueue fetches;
  LogWriter log_writer{&log, &promises, &sender, &inbox};
  Applier applier{self, &machine, &publishes, &answers, &inbox};
  std::vector<NodeStatus> statuses;
  Driver driver;
};

class VirtualCluster {
 public:
  explicit VirtualCluster(size_t size, NodeOptions options = {}) {
    for (uint64_t id = 1; id <= size; ++id) options.voters.push_back(NodeId(id));
    for (NodeId self : options.voters) {
      options.self = self;
      options.random_seed = self.value();
      members_.push_back(std::make_unique<VirtualMember>(
          options, now_,
          [this, self](NodeId to, std::string bytes) { Deliver(self, to, std::move(bytes)); }));
    }
  }

  VirtualMember& at(NodeId id) { return *members_.at(id.value() - 1); }
  base::TimePoint now() const { return now_; }
  void CutOff(NodeId id) { cut_off_.insert(id); }
  // In this direction nothing passes.
  void Cut(NodeId from, NodeId to) { cut_links_.insert({from, to}); }
  void Heal() {
    cut_off_.clear();
    cut_links_.clear();
  }

  // The machine on which all run is paused.
  void StandStill(base::Duration length) { now_ += length; }

  // Lets virtual time go on.
  void Run(base::Duration length) {
    const base::TimePoint end = now_ + length;
    while (true) {
      Settle();
      base::TimePoint due = end;
      for (auto& member : members_) due = std::min(due, member->driver.next_due());
      now_ = std::max(now_, due);
      if (now_ >= end) break;
    }
    Settle();
  }

  // Does what can be done without time going on.
  void Settle() {
    for (int turns = 0;; ++turns) {
      ASSERT_LT(turns, 10'000) << "the cluster does not come to rest";
      bool busy = std::exchange(delivered_, false);
      for (auto& member : members_) busy = member->Turn(now_) || busy;
      if (!busy && !delivered_) return;
    }
  }

  // Runs until one leads whom all that are not cut off follow.
  NodeId AwaitLeader() {
    for (int tries = 0; tries < 100; ++tries) {
      Run(std::chrono::milliseconds(100));
      NodeId leader;
      bool agreed = true;
      for (auto& member : members_) {
        if (cut_off_.contains(member->self)) continue;
        const NodeId known = member->driver.core().leader();
        if (leader == kNobody) leader = known;
        agreed = agreed && known == leader && known != kNobody;
      }
      if (agreed && !cut_off_.contains(leader)) return leader;
    }
    ADD_FAILURE() << "no leader within ten seconds";
    return NodeId(1);
  }

 private:
  void Deliver(NodeId from, NodeId to, std::string bytes) {
    if (cut_off_.contains(from) || cut_off_.contains(to)) return;
    if (cut_links_.contains({from, to})) return;
    Envelope envelope = DecodeEnvelope(bytes).value();
    delivered_ = at(to).inbox.TryPush(&envelope) || delivered_;
  }

  base::TimePoint now_ = Seconds(1000);
  std::set<NodeId> cut_off_;
  std::set<std::pair<NodeId, NodeId>> cut_links_;
  bool delivered_ = false;
  std::vector<std::unique_ptr<VirtualMember>> members_;
};

}  // namespace raft
