// SPDX-License-Identifier: Apache-2.0
//
// lone_member.h: a member that leads itself, without threads, disks or a network: what is published
// is applied by the real machine at once, and a read is ready at once.

#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rpc/handler.h"
#include "server/gate.h"
#include "server/key_waiters.h"
#include "server/real_parts.h"
#include "store/kv_machine.h"
#include "store/memory_engine.h"

namespace server {

class LoneClock final : public base::Clock {
 public:
  base::TimePoint Now() const override { return now; }
  base::TimePoint now = base::TimePoint(std::chrono::hours(1));
};

// Tasks that would run on other threads run one after the other, never inside each other.
class LoneReplica final : public Replica {
 public:
  LoneReplica() {
    auto machine = store::KvMachine::Open(
        std::make_unique<store::MemoryEngine>(std::make_shared<store::MemoryDisk>()),
        {.cluster_id = 11, .member_id = 22});
    EXPECT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
    node.self = raft::NodeId(22);
    node.leader = raft::NodeId(22);
    node.role = raft::Role::kLeader;
    node.term = raft::Term(4);
  }

  void Publish(std::string command, base::TimePoint, raft::PublishDone done) override {
    Do([this, command = std::move(command), done = std::move(done)] {
      auto entry = std::make_shared<raft::Entry>();
      entry->index = machine_->applied().index + 1;
      entry->term = node.term;
      entry->command = command;
      const raft::ApplyItem item{entry, true};
      std::vector<raft::ApplyResult> results;
      machine_->Apply({&item, 1}, &results);
      done({raft::PublishOutcome::Kind::kApplied, results.at(0)});
    });
  }
  void ChangeConfiguration(std::string, raft::Index, base::TimePoint, raft::PublishDone) override {}
  void TransferLeadership(raft::NodeId) override { ++hand_overs; }
  void ReadIndex(base::TimePoint, raft::ReadDone done) override { LocalRead(std::move(done)); }
  void LocalRead(raft::ReadDone done) override {
    Do([done = std::move(done)] { done(raft::ReadOutcome::kReady); });
  }
  raft::NodeStatus status() const override { return node; }

  store::KvMachine* machine() { return machine_.get(); }
  raft::NodeStatus node;
  int hand_overs = 0;

 private:
  void Do(std::function<void()> task) {
    tasks_.push_back(std::move(task));
    if (running_) return;
    running_ = true;
    while (!tasks_.empty()) {
      const std::function<void()> next = std::move(tasks_.front());
      tasks_.pop_front();
      next();
    }
    running_ = false;
  }

  std::unique_ptr<store::KvMachine> machine_;
  std::deque<std::function<void()>> tasks_;
  bool running_ = false;
};

class LoneCall final : public rpc::Call {
 public:
  std::optional<std::string> Metadata(std::string_view) const override { return std::nullopt; }
  base::TimePoint deadline() const override { return base::kForever; }
  std::string peer() const override { return "test"; }
  bool cancelled() const override { return gone; }
  void WhenCancelled(std::function<void()> on_cancel) const override { on_cancel_ = on_cancel; }
  void Cancel() {
    gone = true;
    if (on_cancel_) on_cancel_();
  }

 private:
  bool gone = false;
  mutable std::function<void()> on_cancel_;
};

class LoneStream final : public rpc::Stream {
 public:
  std::optional<std::string> Metadata(std::string_view) const override { return std::nullopt; }
  base::TimePoint deadline() const override { return base::kForever; }
  std::string peer() const override { return "test"; }
  bool cancelled() const override { return false; }
  size_t Write(std::string message) override {
    written.push_back(std::move(message));
    return unread;
  }
  void Finish(absl::Status status) override {
    if (!finished) finished = std::move(status);
  }
  void Abort(absl::Status status) override {
    aborted = !finished;
    Finish(std::move(status));
  }
  void EndIfUnread() override { ends_if_unread = true; }

  std::vector<std::string> written;
  // What Write says is waiting.
  size_t unread = 0;
  std::optional<absl::Status> finished;
  bool aborted = false;
  bool ends_if_unread = false;
};

// One call of a unary method: its answer once it is there.
template <typename Response>
struct Asked {
  template <typename Request>
  Asked(const rpc::Registry& registry, const std::string& path, const Request& request) {
    const auto& handler = std::get<rpc::UnaryHandler>(*registry.Find(path));
    handler(call, request.SerializeAsString(), [this](absl::Status status, std::string bytes) {
      EXPECT_FALSE(ended) << "a call ends once";
      ended = true;
      result = status;
      EXPECT_TRUE(response.ParseFromString(bytes));
    });
  }

  LoneCall call;
  bool ended = false;
  absl::Status result;
  Response response;
};

}  // namespace server
