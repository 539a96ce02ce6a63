// SPDX-License-Identifier: Apache-2.0
//
// sim_node.h: one host and the member that lives on it, under virtual time: the production
// driver, log writer, applier, codec, Raft log, promises and state machine, on a simulated disk
// and a clock of its own.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/simulated_file.h"
#include "raft/node/driver.h"
#include "store/memory_engine.h"
#include "store/promises.h"
#include "store/raft_log.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/network.h"
#include "tests/simulation/node_clock.h"
#include "tests/simulation/sim_machine.h"
#include "tests/simulation/snapshot_road.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/world.h"

namespace simulation {

// The process of one member ends, by its own word.
struct ProcessEnded {
  std::string why;
};

class SimNode {
 public:
  struct Settings {
    // Of the cluster as it was founded, and its log's first entry. Who joins later learns them.
    std::vector<raft::NodeId> founders;
    std::string bootstrap_command;
    base::Duration heartbeat_interval = std::chrono::milliseconds(100);
    base::Duration election_timeout = std::chrono::milliseconds(1000);
    double drift = 0;
    uint64_t segment_bytes = 32 << 10;
    size_t log_cache_bytes_max = 64 << 10;
    size_t append_bytes_max = 1 << 20;
    size_t in_flight_messages_max = 512;
    size_t datum_cache_bytes = 64 << 10;
    uint64_t digest_interval = raft::kDigestInterval;
    // What is left of the log for those that lag.
    uint64_t log_reserve_bytes = 256 << 20;
    // After how many applied batches, about, the state is flushed.
    double flush_chance = 0.02;
    // How long a sync takes.
    base::Duration sync_min = std::chrono::microseconds(100);
    base::Duration sync_max = std::chrono::milliseconds(3);
    // Now and then a thread has to wait for the processor.
    double slow_turns = 0;
  };
  // What a node needs of the cluster around it.
  struct Surroundings {
    World* world;
    Checker* checker;
    SimWatchers* watchers;
    Timeline* timeline;
    SnapshotRoad* road;
    // Hands a message to the network.
    std::function<void(SimNode* from, raft::NodeId to, Packet packet)> send;
    // A member refuses another for good: it was removed from the cluster.
    std::function<void(SimNode* by, raft::NodeId removed)> tell_removed;
    std::function<void(SimNode*)> on_killed;
    // The disks of all members.
    std::function<Disks()> disks;
    std::function<void(SimNode*)> on_new_leader;
    std::function<void(SimNode*)> on_promise;
  };

  // A host on which nobody lives yet.
  SimNode(size_t host, const Settings& settings, Surroundings surroundings);
  ~SimNode();

  // A member of this name moves in, with an empty data directory. A founder knows the others.
  void MoveIn(raft::NodeId id, bool founder);
  // The member is gone and its data directory empty.
  void Wipe();
  void Start();
  // kill -9: what was written stays, synced or not.
  void Kill();
  // The power goes, perhaps in the middle of the next write.
  void LosePower(bool during_next_write);
  // The process is killed in the middle of the next write and starts again at once: what it wrote
  // and did not sync is there, until the power goes so long after.
  void KillInWrite(base::Duration power_lasts);
  // The process does nothing until Resume; what arrives waits.
  void Pause() { paused_ = true; }
  void Resume();
  // The member's clock stands still until Thaw.
  void FreezeClock() { clock_.Freeze(); }
  void ThawClock();
  // No write or sync ends before then.
  void StallDisk(base::TimePoint until) { stalled_until_ = until; }
  // The disk refuses the next write or sync.
  void RefuseOneWrite();
  // No more than so many further bytes find room until EmptyDisk.
  void FillDisk(uint64_t bytes_left);
  void EmptyDisk();
  // Bits of the log turn over. Requires: it does not run.
  void RotLog(base::Random* random);
  // A record of the state can be read no more.
  void RotState(base::Random* random);
  // The state goes astray at the next put, and no error says so.
  void TurnState();
  bool astray() const { return stray_.since != raft::Index{}; }
  // It may hold less than it acknowledged, of the log or of the state, or a state that differs.
  bool damaged() const { return damaged_; }
  // No more faults from here on.
  void Heal();

  bool running() const { return running_ != nullptr; }
  bool paused() const { return paused_; }
  // Somebody lives here, though perhaps it does not run.
  bool inhabited() const { return id_ != raft::kNobody; }
  size_t host() const { return host_; }
  uint64_t life() const { return life_; }
  static uint64_t UuidOf(size_t host, raft::NodeId id) { return host * 1'000'000 + id.value(); }
  raft::NodeId id() const { return id_; }
  uint64_t uuid() const { return uuid_; }
  std::string name() const { return "n" + std::to_string(id_.value()); }
  const DurableLog& disk() const { return durable_; }
  const raft::Core* core() const { return running_ ? &running_->driver->core() : nullptr; }
  // Null while it does not run.
  store::KvMachine* kv() const { return running_ ? running_->machine->kv() : nullptr; }

  void Receive(const Packet& packet, bool flipped);
  // Something happened that the driver should know of.
  void Report(raft::InboxItem report);
  void ChangeConfiguration(std::string command, raft::Index based_on, base::Duration patience,
                           raft::PublishDone done);
  // The state as it is flushed now. False if there is none.
  bool ExportState(raft::LogPosition* position, std::string* bytes);
  // A state has come whole and lies beside the one in use.
  void Stage(raft::LogPosition position, std::string bytes);
  void Publish(std::string command, base::Duration patience, raft::PublishDone done);
  void Read(base::Duration patience, raft::ReadDone done);

 private:
  static constexpr char kLogDirectory[] = "log";
  class ObservedLog;
  class ObservedPromises;
  class NetworkPort;
  class HeldPort;
  class SnapshotPort;
  // All that dies with the process.
  struct Running {
    std::unique_ptr<store::Promises> promises;
    std::unique_ptr<ObservedPromises> observed_promises;
    std::unique_ptr<store::RaftLog> log;
    std::unique_ptr<ObservedLog> observed_log;
    std::unique_ptr<NetworkPort> transport;
    std::unique_ptr<SnapshotPort> snapshots;
    std::unique_ptr<SimMachine> machine;
    std::unique_ptr<raft::Inbox> inbox;
    std::unique_ptr<raft::Sender> sender;
    // What the log thread has to tell once its write has come to its end.
    std::unique_ptr<HeldPort> held_messages;
    std::unique_ptr<raft::Sender> held_sender;
    std::unique_ptr<raft::Inbox> held_reports;
    bool write_under_way = false;
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
    // The apply thread is busy until then.
    base::TimePoint applies_from = base::TimePoint::min();
  };

  raft::NodeOptions Options() const;
  std::unique_ptr<Running> Load();
  void LoadPromises(Running* running);
  void LoadState(Running* running);
  void NoteConfigurations(Running* running, raft::NodeStart* start);
  void LoadLog(Running* running, raft::NodeStart* start);
  void Doubt(Running* running, const std::string& damage);
  void BeginLogAnew(Running* running, raft::LogPosition applied, store::RaftLogContents* contents);
  absl::StatusOr<std::unique_ptr<store::Engine>> TakeStaged(uint64_t staged);
  // The rules of identity, as the server's transport holds them.
  bool MayReceiveFrom(const Packet& packet);
  // What was durable is there, or has been overwritten.
  void CheckDurableLogStays(const DurableLog& before);
  void NoteDurableLog(const store::RaftLogContents& contents);
  void BuildParts(Running* running, raft::NodeStart start);
  void OnTrace(const std::string& line);
  void PlanRaft();
  void PlanLog();
  void PlanApply();
  void PlanTimer();
  void RunAnswers();
  void RaftTurn();
  void LogTurn();
  void EndLogTurn();
  void ApplyTurn();
  // Runs `turn`, in which the process may come to its end.
  void RunTurn(void (SimNode::*turn)());
  base::Duration TurnDelay(base::Duration low, base::Duration high);
  void EndProcess(const std::string& why, bool power_goes);
  // Runs `turn` after `delay` if this life of the process still lasts.
  void PlanTurn(base::Duration delay, bool* planned, void (SimNode::*turn)());
  void Tell(const std::string& line) { around_.timeline->Tell(name() + " " + line); }

  const size_t host_;
  raft::NodeId id_;
  // Of the data directory.
  uint64_t uuid_ = 0;
  raft::Session session_;
  bool founder_ = false;
  const Settings settings_;
  const Surroundings around_;
  World* const world_;
  NodeClock clock_;

  base::SimulatedFileSystem files_;
  // state-N, by N.
  std::map<uint64_t, std::shared_ptr<store::MemoryDisk>> states_;
  std::map<uint64_t, std::string> staged_;
  uint64_t last_staged_ = 0;
  DurableLog durable_;
  base::TimePoint stalled_until_ = base::TimePoint::min();
  bool damaged_ = false;
  // Some time in its life.
  bool log_rotted_ = false;
  Stray stray_;
  // Set while the next write is to be the last of its process, but not of the power.
  base::Duration power_lasts_{};
  bool healed_ = false;

  std::unique_ptr<Running> running_;
  uint64_t life_ = 0;
  bool paused_ = false;
};

}  // namespace simulation
