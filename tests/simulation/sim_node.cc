// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_node.h"

#include <cstring>
#include <utility>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/wire/codec.h"

namespace simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr char kLogDirectory[] = "log";

// Lets every life of a process own "its" meta store while the disk behind it stays.
class MetaOfOneLife final : public store::MetaStore {
 public:
  explicit MetaOfOneLife(std::shared_ptr<store::MemoryMetaStore> disk) : disk_(std::move(disk)) {}
  absl::StatusOr<std::optional<std::string>> Get(const std::string& name) override {
    return disk_->Get(name);
  }
  void PutDurably(const std::string& name, const std::string& value) override {
    disk_->PutDurably(name, value);
  }

 private:
  const std::shared_ptr<store::MemoryMetaStore> disk_;
};

}  // namespace

std::string EncodeOperation(uint64_t operation, size_t padding) {
  std::string command(sizeof operation + padding, 'x');
  std::memcpy(command.data(), &operation, sizeof operation);
  return command;
}

uint64_t DecodeOperation(const std::string& command) {
  uint64_t operation = 0;
  if (command.size() >= sizeof operation) {
    std::memcpy(&operation, command.data(), sizeof operation);
  }
  return operation;
}

void SimMachine::Apply(std::span<const raft::ApplyItem> items,
                       std::vector<raft::ApplyResult>* results) {
  for (const raft::ApplyItem& item : items) {
    const raft::Entry& entry = *item.entry;
    if (entry.index != applied_.index + 1) {
      checker_->Fail("apply in order: an entry is applied out of its turn");
    }
    applied_ = entry.position();
    checker_->OnApply(node_, entry,
                      entry.kind == raft::EntryKind::kCommand ? DecodeOperation(entry.command) : 0);
    results->push_back({absl::OkStatus(), item.response_wanted ? entry.command : ""});
  }
}

// Notes what is durable, when it is.
class SimNode::ObservedLog final : public raft::LogStore {
 public:
  ObservedLog(store::RaftLog* log, DurableTerms* durable) : log_(log), durable_(durable) {}

  void Append(std::span<const raft::EntryRef> entries) override {
    appended_.assign(entries.begin(), entries.end());
    log_->Append(entries);
  }
  void Sync() override {
    log_->Sync();
    if (appended_.empty()) return;
    durable_->resize(appended_.front()->index.value() - 1);
    for (const raft::EntryRef& entry : appended_) durable_->push_back(entry->term);
    appended_.clear();
  }
  absl::StatusOr<std::vector<raft::EntryRef>> Read(raft::Index from, size_t bytes_max) override {
    return log_->Read(from, bytes_max);
  }
  void Restart(raft::LogPosition base) override { log_->Restart(base); }
  raft::LogPosition Release(raft::Index through) override { return log_->Release(through); }

 private:
  store::RaftLog* const log_;
  DurableTerms* const durable_;
  std::vector<raft::EntryRef> appended_;
};

class SimNode::NetworkPort final : public raft::Transport {
 public:
  explicit NetworkPort(SimNode* node) : node_(node) {}
  void Send(raft::NodeId to, std::string bytes) override {
    if (auto envelope = raft::DecodeEnvelope(bytes); envelope.ok()) {
      node_->checker_->OnSend(*envelope);
    } else {
      node_->checker_->Fail("a member sends what cannot be decoded");
    }
    node_->send_(node_->id_, to, std::move(bytes));
  }

 private:
  SimNode* const node_;
};

SimNode::SimNode(raft::NodeId id, const Settings& settings, World* world, Checker* checker,
                 SendBytes send, std::function<void(const std::string&)> trace)
    : id_(id),
      settings_(settings),
      world_(world),
      checker_(checker),
      send_(std::move(send)),
      trace_(std::move(trace)),
      machine_(id, checker) {
  files_.set_sectors_atomic(true);
}

SimNode::~SimNode() = default;

raft::NodeOptions SimNode::Options() const {
  raft::NodeOptions options;
  options.self = id_;
  for (uint64_t voter = 1; voter <= settings_.voters; ++voter) {
    options.voters.push_back(raft::NodeId(voter));
  }
  options.heartbeat_interval = settings_.heartbeat_interval;
  options.election_timeout = settings_.election_timeout;
  options.log_cache_bytes_max = settings_.log_cache_bytes_max;
  options.append_bytes_max = settings_.append_bytes_max;
  options.in_flight_messages_max = settings_.in_flight_messages_max;
  options.random_seed = world_->random()->Next();
  return options;
}

void SimNode::Start() {
  ++life_;
  paused_ = false;
  try {
    running_ = Load();
  } catch (const base::PowerLoss&) {
    running_ = nullptr;
    return;
  }
  if (running_) PlanRaft();
}

std::unique_ptr<SimNode::Running> SimNode::Load() {
  auto running = std::make_unique<Running>();
  auto promises = store::Promises::Load(std::make_unique<MetaOfOneLife>(meta_));
  CHECK(promises.ok()) << promises.status();
  promises_ = *std::move(promises);

  store::RaftLogOptions log_options;
  log_options.directory = kLogDirectory;
  log_options.segment_bytes = settings_.segment_bytes;
  log_options.keep_after = machine_.applied().index;
  log_options.random_seed = world_->random()->Next();
  store::RaftLogContents contents;
  auto log = store::RaftLog::Open(&files_, log_options, &contents);
  if (!log.ok()) {
    checker_->Fail("a log that only lost its unsynced tail is refused: " +
                   std::string(log.status().message()));
    return nullptr;
  }
  running->log = *std::move(log);
  if (world_->random()->Chance(0.5)) running->log->PrepareSegment().IgnoreError();

  durable_terms_.resize(contents.last_index.value());
  for (size_t run = 0; run < contents.term_runs.size(); ++run) {
    const raft::Index end = run + 1 < contents.term_runs.size() ? contents.term_runs[run + 1].index
                                                                : contents.last_index + 1;
    for (raft::Index i = contents.term_runs[run].index; i < end; ++i) {
      durable_terms_[i.value() - 1] = contents.term_runs[run].term;
    }
  }
  raft::NodeStart start;
  start.hard_state = promises_->hard_state();
  start.boot_count = promises_->CountBoot();
  start.applied = machine_.applied();
  start.log_base = contents.base;
  start.term_runs = std::move(contents.term_runs);
  start.last_index = contents.last_index;
  start.tail = std::move(contents.tail);
  BuildParts(running.get(), std::move(start));
  return running;
}

void SimNode::BuildParts(Running* running, raft::NodeStart start) {
  const raft::NodeOptions options = Options();
  running->observed_log = std::make_unique<ObservedLog>(running->log.get(), &durable_terms_);
  running->transport = std::make_unique<NetworkPort>(this);
  running->inbox =
      std::make_unique<raft::Inbox>(options.inbox_publishes_max, options.inbox_bytes_max);
  running->sender = std::make_unique<raft::Sender>(running->transport.get());
  running->log_writer = std::make_unique<raft::LogWriter>(
      running->observed_log.get(), promises_.get(), running->sender.get(), running->inbox.get());
  running->applier = std::make_unique<raft::Applier>(id_, &machine_, &running->publishes,
                                                     &running->answers, running->inbox.get());
  running->driver = std::make_unique<raft::Driver>(
      options, std::move(start),
      raft::Driver::Parts{running->inbox.get(), running->sender.get(), running->observed_log.get(),
                          running->log_writer.get(), running->applier.get(), &running->publishes,
                          &running->answers, &running->reads, &running->fetches, nullptr},
      world_->now(), nullptr);
  if (trace_) running->driver->set_trace(trace_);
  running->driver->set_on_step([this](const raft::CoreView& before, const raft::Effects& effects) {
    const raft::Core& core = running_->driver->core();
    if (!base::Planted("ack-before-fsync")) {
      raft::CheckStep(before, raft::CoreView::Of(core), effects);
    }
    checker_->OnStep(core, disks_);
  });
}

void SimNode::Kill() {
  files_.KillProcess();
  machine_.Crash();
  running_ = nullptr;
  ++life_;
}

void SimNode::LosePower(bool during_next_write) {
  if (during_next_write && running_) {
    files_.LosePowerAfter(world_->random()->Between(1, 4));
    return;
  }
  files_.LosePower(world_->random());
  machine_.Crash();
  running_ = nullptr;
  ++life_;
}

void SimNode::Resume() {
  paused_ = false;
  if (running_) {
    PlanRaft();
    PlanLog();
    PlanApply();
  }
}

void SimNode::Receive(const std::string& bytes) {
  if (!running_) return;
  auto envelope = raft::DecodeEnvelope(bytes);
  if (!envelope.ok()) return;
  if (running_->inbox->TryPush(&*envelope)) PlanRaft();
}

void SimNode::Publish(std::string command, base::Duration patience, raft::PublishDone done) {
  if (!running_) return done({raft::PublishOutcome::Kind::kDropped, {}});
  raft::WaitingPublish publish{std::move(command), world_->now() + patience, std::move(done)};
  if (running_->inbox->TryPush(&publish)) PlanRaft();
}

void SimNode::Read(base::Duration patience, raft::ReadDone done) {
  if (!running_) return done(raft::ReadOutcome::kStopped);
  raft::WaitingRead read{world_->now() + patience, std::move(done)};
  if (running_->inbox->TryPush(&read)) PlanRaft();
}

void SimNode::PlanTurn(base::Duration delay, bool* planned, void (SimNode::*turn)()) {
  if (*planned || paused_) return;
  *planned = true;
  world_->After(delay, [this, planned, turn, life = life_] {
    if (life != life_ || !running_) return;
    *planned = false;
    if (!paused_) (this->*turn)();
  });
}

void SimNode::PlanRaft() {
  PlanTurn(world_->RandomDelay(microseconds(5), microseconds(200)), &running_->raft_planned,
           &SimNode::RaftTurn);
}

void SimNode::PlanLog() {
  const bool stalls = world_->random()->Chance(0.0005);
  const base::Duration delay = stalls ? world_->RandomDelay(milliseconds(100), milliseconds(2500))
                                      : world_->RandomDelay(settings_.sync_min, settings_.sync_max);
  PlanTurn(delay, &running_->log_planned, &SimNode::LogTurn);
}

void SimNode::PlanApply() {
  PlanTurn(world_->RandomDelay(microseconds(20), milliseconds(2)), &running_->apply_planned,
           &SimNode::ApplyTurn);
}

void SimNode::PlanTimer() {
  const base::TimePoint due = running_->driver->next_due();
  if (running_->timer <= due && running_->timer > world_->now()) return;
  running_->timer = due;
  world_->At(due, [this, life = life_] {
    if (life == life_ && running_ && !paused_) PlanRaft();
  });
}

void SimNode::RunAnswers() {
  while (running_->answers.RunSome() || running_->reads.RunSome() || running_->fetches.RunSome()) {
    continue;
  }
}

void SimNode::RaftTurn() {
  running_->driver->RunOnce(world_->now());
  RunAnswers();
  PlanLog();
  PlanApply();
  PlanTimer();
}

void SimNode::LogTurn() {
  try {
    if (running_->log_writer->RunOnce()) {
      PlanRaft();
      PlanLog();
    }
  } catch (const base::PowerLoss&) {
    if (trace_) trace_("n" + std::to_string(id_.value()) + " loses power while it writes");
    LosePower(false);
    world_->After(world_->RandomDelay(milliseconds(1), std::chrono::seconds(2)), [this] {
      if (!running_) Start();
    });
  }
}

void SimNode::ApplyTurn() {
  if (!running_->applier->RunOnce()) return;
  if (world_->random()->Chance(0.02)) machine_.Flush();
  RunAnswers();
  PlanRaft();
  PlanApply();
}

}  // namespace simulation
