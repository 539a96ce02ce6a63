// SPDX-License-Identifier: Apache-2.0
//
// sim_node.h: one member under virtual time: the production driver, log writer, applier, codec
// and Raft log, on a simulated disk, with a small state machine.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/simulated_file.h"
#include "raft/node/driver.h"
#include "store/promises.h"
#include "store/raft_log.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/world.h"

namespace simulation {

// A state machine that remembers which operations it applied. Like the real one it has no log of
// its own: a crash takes it back to its last flush.
class SimMachine final : public raft::StateMachine {
 public:
  SimMachine(raft::NodeId node, Checker* checker) : node_(node), checker_(checker) {}

  void Apply(std::span<const raft::ApplyItem> items,
             std::vector<raft::ApplyResult>* results) override;
  raft::LogPosition applied() const override { return applied_; }
  raft::StateDigest digest() const override { return {}; }
  bool lost() const override { return false; }
  void DeclareLost(const absl::Status&) const override {}
  absl::StatusOr<raft::InstalledState> Install(uint64_t) override {
    return absl::UnimplementedError("install");
  }

  void Flush() { flushed_ = applied_; }
  void Crash() { applied_ = flushed_; }

 private:
  const raft::NodeId node_;
  Checker* const checker_;
  raft::LogPosition applied_;
  raft::LogPosition flushed_;
};

// What the machine's command holds: the number of the client's operation.
std::string EncodeOperation(uint64_t operation, size_t padding);
uint64_t DecodeOperation(const std::string& command);

class SimNode {
 public:
  struct Settings {
    size_t voters = 3;
    base::Duration heartbeat_interval = std::chrono::milliseconds(100);
    base::Duration election_timeout = std::chrono::milliseconds(1000);
    uint64_t segment_bytes = 32 << 10;
    size_t log_cache_bytes_max = 64 << 10;
    size_t append_bytes_max = 1 << 20;
    size_t in_flight_messages_max = 512;
    // How long a sync takes.
    base::Duration sync_min = std::chrono::microseconds(100);
    base::Duration sync_max = std::chrono::milliseconds(3);
  };
  // Hands a message to the network.
  using SendBytes = std::function<void(raft::NodeId from, raft::NodeId to, std::string bytes)>;

  SimNode(raft::NodeId id, const Settings& settings, World* world, Checker* checker, SendBytes send,
          std::function<void(const std::string&)> trace);

  ~SimNode();

  void Start();
  // kill -9: what was written stays, synced or not.
  void Kill();
  // The power goes, perhaps in the middle of the next write.
  void LosePower(bool during_next_write);
  // The process does nothing until Resume; what arrives waits.
  void Pause() { paused_ = true; }
  void Resume();

  bool running() const { return running_ != nullptr; }
  bool paused() const { return paused_; }
  raft::NodeId id() const { return id_; }
  const DurableTerms& durable_terms() const { return durable_terms_; }
  const raft::Core* core() const { return running_ ? &running_->driver->core() : nullptr; }
  raft::LogPosition applied() const { return machine_.applied(); }

  void Receive(const std::string& bytes);
  void Publish(std::string command, base::Duration patience, raft::PublishDone done);
  void Read(base::Duration patience, raft::ReadDone done);
  // The disks of all members, for the checker; called once.
  void set_disks(std::map<raft::NodeId, const DurableTerms*> disks) { disks_ = std::move(disks); }

 private:
  class ObservedLog;
  class NetworkPort;
  // All that dies with the process.
  struct Running {
    std::unique_ptr<store::RaftLog> log;
    std::unique_ptr<ObservedLog> observed_log;
    std::unique_ptr<NetworkPort> transport;
    std::unique_ptr<raft::Inbox> inbox;
    std::unique_ptr<raft::Sender> sender;
    raft::PublishTable publishes;
    raft::AnswerQueue answers;
    raft::AnswerQueue reads;
    raft::AnswerQueue fetches;
    std::unique_ptr<raft::LogWriter> log_writer;
    std::unique_ptr<raft::Applier> applier;
    std::unique_ptr<raft::Driver> driver;
    // A turn of the thread is already planned.
    bool raft_planned = false;
    bool log_planned = false;
    bool apply_planned = false;
    base::TimePoint timer = base::kForever;
  };

  raft::NodeOptions Options() const;
  std::unique_ptr<Running> Load();
  void BuildParts(Running* running, raft::NodeStart start);
  void PlanRaft();
  void PlanLog();
  void PlanApply();
  void PlanTimer();
  void RunAnswers();
  void RaftTurn();
  void LogTurn();
  void ApplyTurn();
  // Runs `turn` after `delay` if this life of the process still lasts.
  void PlanTurn(base::Duration delay, bool* planned, void (SimNode::*turn)());

  const raft::NodeId id_;
  const Settings settings_;
  World* const world_;
  Checker* const checker_;
  const SendBytes send_;
  const std::function<void(const std::string&)> trace_;

  base::SimulatedFileSystem files_;
  // meta/ syncs each write, so nothing of it is ever lost.
  std::shared_ptr<store::MemoryMetaStore> meta_ = std::make_shared<store::MemoryMetaStore>();
  SimMachine machine_;
  std::unique_ptr<store::Promises> promises_;
  DurableTerms durable_terms_;
  std::map<raft::NodeId, const DurableTerms*> disks_;

  std::unique_ptr<Running> running_;
  uint64_t life_ = 0;
  bool paused_ = false;
};

}  // namespace simulation
