// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_node.h"

#include <limits>
#include <utility>

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "raft/wire/codec.h"
#include "tests/simulation/sim_meta.h"

namespace simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr char kLogDirectory[] = "log";

}  // namespace

// Notes what is durable, when it is.
class SimNode::ObservedLog final : public raft::LogStore {
 public:
  ObservedLog(store::RaftLog* log, DurableLog* durable) : log_(log), durable_(durable) {}

  void Append(std::span<const raft::EntryRef> entries) override {
    appended_.assign(entries.begin(), entries.end());
    log_->Append(entries);
  }
  void Sync() override {
    log_->Sync();
    if (appended_.empty()) return;
    durable_->CutBehind(appended_.front()->index - 1);
    for (const raft::EntryRef& entry : appended_) durable_->terms.push_back(entry->term);
    appended_.clear();
  }
  absl::StatusOr<std::vector<raft::EntryRef>> Read(raft::Index from, size_t bytes_max) override {
    return log_->Read(from, bytes_max);
  }
  void Restart(raft::LogPosition base) override {
    log_->Restart(base);
    durable_->base = base;
    durable_->terms.clear();
  }
  raft::LogPosition Release(raft::Index through) override {
    const raft::LogPosition base = log_->Release(through);
    durable_->ReleaseTo(base);
    return base;
  }

 private:
  store::RaftLog* const log_;
  DurableLog* const durable_;
  std::vector<raft::EntryRef> appended_;
};

class SimNode::ObservedPromises final : public raft::PromiseStore {
 public:
  ObservedPromises(store::Promises* promises, DurableLog* durable)
      : promises_(promises), durable_(durable) {}
  void SaveHardState(const raft::HardState& hard_state) override {
    promises_->SaveHardState(hard_state);
    durable_->hard_state = hard_state;
  }

 private:
  store::Promises* const promises_;
  DurableLog* const durable_;
};

class SimNode::NetworkPort final : public raft::Transport {
 public:
  explicit NetworkPort(SimNode* node) : node_(node) {}
  void Send(raft::NodeId to, std::string bytes) override {
    if (auto envelope = raft::DecodeEnvelope(bytes); envelope.ok()) {
      node_->around_.checker->OnSend(*envelope, node_->durable_);
    } else {
      node_->around_.checker->Fail("a member sends what cannot be decoded");
    }
    node_->around_.send(node_, to, {node_->id_.value(), node_->uuid_, std::move(bytes)});
  }

 private:
  SimNode* const node_;
};

class SimNode::SnapshotPort final : public raft::SnapshotTransport {
 public:
  explicit SnapshotPort(SimNode* node) : node_(node) {}
  void SendSnapshot(raft::NodeId peer, Done done) override {
    node_->Tell("sends its state to n" + std::to_string(peer.value()));
    node_->around_.road->Send(node_, peer, [this, done](absl::StatusOr<raft::LogPosition> sent) {
      done(std::move(sent));
      node_->PlanRaft();
    });
  }
  void Discard(uint64_t staged) override { node_->staged_.erase(staged); }

 private:
  SimNode* const node_;
};

SimNode::SimNode(size_t host, const Settings& settings, Surroundings surroundings)
    : host_(host),
      settings_(settings),
      around_(std::move(surroundings)),
      world_(around_.world),
      clock_(world_, settings.drift) {
  files_.set_sectors_atomic(true);
}

SimNode::~SimNode() = default;

raft::NodeOptions SimNode::Options() const {
  raft::NodeOptions options;
  options.self = id_;
  if (founder_) {
    options.voters = settings_.founders;
    options.bootstrap_command = settings_.bootstrap_command;
  }
  options.heartbeat_interval = settings_.heartbeat_interval;
  options.election_timeout = settings_.election_timeout;
  options.log_cache_bytes_max = settings_.log_cache_bytes_max;
  options.append_bytes_max = settings_.append_bytes_max;
  options.in_flight_messages_max = settings_.in_flight_messages_max;
  options.random_seed = world_->random()->Next();
  return options;
}

void SimNode::MoveIn(raft::NodeId id, bool founder) {
  id_ = id;
  uuid_ = UuidOf(host_, id);
  founder_ = founder;
  Tell("moves in at host " + std::to_string(host_));
  Start();
}

void SimNode::Wipe() {
  Kill();
  around_.checker->OnLost(id_, session_, durable_);
  files_ = base::SimulatedFileSystem();
  files_.set_sectors_atomic(true);
  states_.clear();
  durable_ = DurableLog();
  damaged_ = false;
  if (base::Planted("wiped-member-is-its-old-self")) return;
  id_ = raft::kNobody;
}

void SimNode::Start() {
  if (!inhabited()) return;
  ++life_;
  paused_ = false;
  try {
    running_ = Load();
  } catch (const base::PowerLoss&) {
    return EndProcess("loses power at its start", true);
  } catch (const ProcessEnded& ended) {
    return EndProcess("ends at its start: " + ended.why, false);
  }
  PlanRaft();
}

std::unique_ptr<SimNode::Running> SimNode::Load() {
  auto running = std::make_unique<Running>();
  raft::NodeStart start;
  LoadPromises(running.get());
  LoadState(running.get());
  LoadLog(running.get(), &start);
  NoteConfigurations(running.get(), &start);
  start.state_lost = running->machine->lost();
  start.digest = running->machine->digest();
  start.hard_state = running->promises->hard_state();
  start.boot_count = running->promises->CountBoot();
  session_ = raft::Session(start.boot_count);
  start.applied = running->machine->applied();
  around_.checker->OnStart(id_, start.hard_state);
  BuildParts(running.get(), std::move(start));
  return running;
}

void SimNode::LoadPromises(Running* running) {
  auto meta = SimMeta::Open(&files_);
  if (!meta.ok()) {
    if (!absl::IsDataLoss(meta.status())) throw ProcessEnded{meta.status().ToString()};
    around_.checker->Fail(name() + ": " + meta.status().ToString());
  }
  auto promises = store::Promises::Load(*std::move(meta));
  CHECK(promises.ok()) << promises.status();
  running->promises = *std::move(promises);
  durable_.hard_state = running->promises->hard_state();
}

void SimNode::LoadState(Running* running) {
  store::KvMachineOptions options;
  options.cluster_id = 1;
  options.member_id = id_.value();
  options.datum_cache_bytes = settings_.datum_cache_bytes;
  const uint64_t number = running->promises->state_number();
  // What was swapped for another, or came and was never taken into use.
  std::erase_if(states_, [number](const auto& state) { return state.first != number; });
  staged_.clear();
  std::shared_ptr<store::MemoryDisk>& disk = states_[number];
  if (!disk) disk = std::make_shared<store::MemoryDisk>();
  auto machine = store::KvMachine::Open(std::make_unique<store::MemoryEngine>(disk), options);
  if (!machine.ok()) {
    Tell("has lost its state: " + std::string(machine.status().message()));
    if (!damaged_) around_.checker->Fail("a good state is lost");
    machine = store::KvMachine::OpenLost(options);
  }
  (*machine)->set_take_staged([this](uint64_t staged) { return TakeStaged(staged); });
  (*machine)->set_on_damage([this](const absl::Status& damage) {
    Tell("loses its state: " + std::string(damage.message()));
    if (running_) Report(raft::StateLost{});
  });
  running->machine =
      std::make_unique<SimMachine>(id_, *std::move(machine), world_->random(), around_.checker);
  running->machine->set_flush_chance(settings_.flush_chance);
}

// The one atomic step is the name of the state in meta/.
absl::StatusOr<std::unique_ptr<store::Engine>> SimNode::TakeStaged(uint64_t staged) {
  const auto found = staged_.find(staged);
  if (found == staged_.end()) return absl::NotFoundError("nothing is staged under that name");
  const std::string bytes = std::move(found->second);
  staged_.erase(found);
  ASSIGN_OR_RETURN(std::shared_ptr<store::MemoryDisk> disk, store::MemoryDisk::Import(bytes));
  const uint64_t number = running_->promises->state_number() + 1;
  states_[number] = disk;
  running_->promises->SaveStateNumber(number);
  states_.erase(number - 1);
  Tell("takes the state that came");
  return std::make_unique<store::MemoryEngine>(disk);
}

// The state's, then those that the log holds behind it.
void SimNode::NoteConfigurations(Running* running, raft::NodeStart* start) {
  const store::Membership membership = running->machine->kv()->membership();
  if (membership.index != raft::Index{}) {
    start->configurations.push_back({membership.index, membership.configuration});
  } else if (founder_) {
    start->configurations.push_back({raft::Index{}, raft::Configuration(settings_.founders)});
  }
  for (const raft::EntryRef& entry : start->tail) {
    if (entry->kind != raft::EntryKind::kConfiguration) continue;
    const auto command = raft::DecodeConfigurationCommand(entry->command);
    if (command) start->configurations.push_back({entry->index, command->configuration});
  }
}

void SimNode::LoadLog(Running* running, raft::NodeStart* start) {
  const raft::LogPosition applied = running->machine->applied();
  store::RaftLogOptions options;
  options.directory = kLogDirectory;
  options.segment_bytes = settings_.segment_bytes;
  options.keep_after = applied.index;
  options.log_reserve_bytes = settings_.log_reserve_bytes;
  options.must_exist = running->promises->boots() > 0;
  options.random_seed = world_->random()->Next();
  options.on_refusal = [](const absl::Status& status) {
    throw ProcessEnded{"the disk refuses: " + std::string(status.message())};
  };
  options.on_damage = [this, running](const std::string& damage) {
    Tell("doubts itself: " + damage);
    if (!damaged_) around_.checker->Fail("a log that only lost its unsynced tail: " + damage);
    raft::HardState doubtful = running->promises->hard_state();
    doubtful.doubtful = true;
    running->promises->SaveHardState(doubtful);
    durable_.hard_state = doubtful;
    return absl::OkStatus();
  };
  store::RaftLogContents contents;
  auto log = store::RaftLog::Open(&files_, options, &contents);
  if (!log.ok()) throw ProcessEnded{log.status().ToString()};
  running->log = *std::move(log);
  if (world_->random()->Chance(0.5)) running->log->PrepareSegment().IgnoreError();
  NoteDurableLog(contents);
  const bool lost = running->machine->lost();
  if (!lost && applied.index < contents.base.index) {
    around_.checker->Fail(name() + "'s log begins behind its state");
  }
  if (!lost && !durable_.Holds(applied)) BeginLogAnew(running, applied, &contents);
  start->log_base = contents.base;
  start->term_runs = std::move(contents.term_runs);
  start->last_index = contents.last_index;
  start->tail = std::move(contents.tail);
}

// All that the state holds was committed: the log goes on behind it (as server/storage.cc does).
void SimNode::BeginLogAnew(Running* running, raft::LogPosition applied,
                           store::RaftLogContents* contents) {
  Tell("begins its log anew behind its state");
  running->log->Restart(applied);
  *contents = store::RaftLogContents();
  contents->base = applied;
  contents->last_index = applied.index;
  NoteDurableLog(*contents);
}

// The log is durable as it was opened (store/raft_log.h).
void SimNode::NoteDurableLog(const store::RaftLogContents& contents) {
  durable_.base = contents.base;
  durable_.terms.assign(contents.last_index - contents.base.index, raft::Term{});
  for (size_t run = 0; run < contents.term_runs.size(); ++run) {
    const raft::Index end = run + 1 < contents.term_runs.size() ? contents.term_runs[run + 1].index
                                                                : contents.last_index + 1;
    for (raft::Index i = contents.term_runs[run].index; i < end; ++i) {
      durable_.terms[i - contents.base.index - 1] = contents.term_runs[run].term;
    }
  }
}

void SimNode::BuildParts(Running* running, raft::NodeStart start) {
  const raft::NodeOptions options = Options();
  running->observed_log = std::make_unique<ObservedLog>(running->log.get(), &durable_);
  running->observed_promises =
      std::make_unique<ObservedPromises>(running->promises.get(), &durable_);
  running->transport = std::make_unique<NetworkPort>(this);
  running->snapshots = std::make_unique<SnapshotPort>(this);
  running->inbox =
      std::make_unique<raft::Inbox>(options.inbox_publishes_max, options.inbox_bytes_max);
  running->sender = std::make_unique<raft::Sender>(running->transport.get());
  running->log_writer = std::make_unique<raft::LogWriter>(
      running->observed_log.get(), running->observed_promises.get(), running->sender.get(),
      running->inbox.get());
  running->applier = std::make_unique<raft::Applier>(
      id_, running->machine.get(), &running->publishes, &running->answers, running->inbox.get());
  running->driver = std::make_unique<raft::Driver>(
      options, std::move(start),
      raft::Driver::Parts{running->inbox.get(), running->sender.get(), running->observed_log.get(),
                          running->log_writer.get(), running->applier.get(), &running->publishes,
                          &running->answers, &running->reads, &running->fetches,
                          running->snapshots.get()},
      clock_.Now(), nullptr);
  running->driver->set_trace([this](const std::string& line) { OnTrace(line); });
  running->driver->set_on_step([this](const raft::CoreView& before, const raft::Effects& effects) {
    const raft::Core& core = running_->driver->core();
    raft::CheckStep(before, raft::CoreView::Of(core), effects);
    around_.checker->OnStep(core, around_.disks());
  });
}

void SimNode::OnTrace(const std::string& line) {
  around_.timeline->Tell(line);
  if (line.find("votes for") != std::string::npos || line.ends_with("becomes follower") ||
      line.ends_with("becomes candidate")) {
    around_.on_promise(this);
  }
  if (line.ends_with("is whole again") || line.ends_with("stands on a snapshot")) {
    damaged_ = core() != nullptr && (core()->hard_state().doubtful || core()->state_lost());
  }
  if (line.ends_with("becomes leader")) around_.on_new_leader(this);
}

void SimNode::Kill() {
  if (running_ && around_.on_killed) around_.on_killed(this);
  files_.KillProcess();
  running_ = nullptr;
  for (auto& [number, disk] : states_) disk->Crash();
  ++life_;
}

void SimNode::LosePower(bool during_next_write) {
  if (during_next_write && running_) {
    files_.LosePowerAfter(world_->random()->Between(1, 6));
    return;
  }
  files_.LosePower(world_->random());
  running_ = nullptr;
  for (auto& [number, disk] : states_) disk->Crash();
  ++life_;
}

void SimNode::EndProcess(const std::string& why, bool power_goes) {
  Tell(why);
  if (power_goes) {
    LosePower(false);
  } else {
    Kill();
  }
  world_->After(world_->RandomDelay(milliseconds(1), std::chrono::seconds(2)), [this] {
    if (!running_) Start();
  });
}

void SimNode::Resume() {
  paused_ = false;
  if (running_) {
    PlanRaft();
    PlanLog();
    PlanApply();
  }
}

void SimNode::ThawClock() {
  clock_.SetDrift(settings_.drift);
  // What was planned by the clock that stood still is planned anew.
  if (!running_) return;
  running_->timer = base::kForever;
  PlanRaft();
}

void SimNode::RefuseOneWrite() {
  files_.set_on_operation([this](base::DiskOperation operation, const std::string&) {
    if (operation == base::DiskOperation::kRead) return absl::OkStatus();
    files_.set_on_operation(nullptr);
    return absl::InternalError("EIO");
  });
}

void SimNode::FillDisk(uint64_t bytes_left) {
  files_.set_quota_bytes(files_.used_bytes() + bytes_left);
}

void SimNode::EmptyDisk() { files_.set_quota_bytes(std::numeric_limits<uint64_t>::max()); }

void SimNode::RotLog(base::Random* random) {
  const auto flips = files_.FlipBits(kLogDirectory, random->Chance(0.5) ? 0.01 : 0.2, random);
  if (flips.empty()) return;
  damaged_ = true;
  around_.checker->OnLost(id_, session_, durable_);
  Tell(std::to_string(flips.size()) + " bits of its log rot, the first in " + flips[0].path +
       " at " + std::to_string(flips[0].offset));
}

void SimNode::RotState(base::Random* random) {
  if (states_.empty() || !states_.rbegin()->second->DamageRecord(random->Below(20))) return;
  damaged_ = true;
  Tell("a record of its state rots");
}

void SimNode::Heal() {
  healed_ = true;
  files_.set_on_operation(nullptr);
  EmptyDisk();
  stalled_until_ = base::TimePoint::min();
  files_.LosePowerAfter(0);
  ThawClock();
  if (paused_) Resume();
  if (!running_) return Start();
  // A turn that was planned for the end of the stall need not be waited for.
  running_->log_planned = false;
  PlanLog();
}

// Design: an id belongs to one data directory, and never comes back once it was removed.
bool SimNode::MayReceiveFrom(const Packet& packet) {
  const SimMachine::Identities& known = running_->machine->identities();
  if (known.removed.count(packet.from_member) > 0) {
    around_.tell_removed(this, raft::NodeId(packet.from_member));
    return false;
  }
  const auto found = known.uuid_of.find(packet.from_member);
  return found == known.uuid_of.end() || found->second == packet.from_uuid;
}

void SimNode::Report(raft::InboxItem report) {
  if (!running_) return;
  running_->inbox->PushReport(std::move(report));
  PlanRaft();
}

bool SimNode::ExportState(raft::LogPosition* position, std::string* bytes) {
  store::KvMachine* machine = kv();
  if (machine == nullptr || machine->lost()) return false;
  machine->Flush();
  *position = machine->applied();
  *bytes = states_.rbegin()->second->Export();
  return true;
}

void SimNode::Stage(raft::LogPosition position, std::string bytes) {
  staged_[++last_staged_] = std::move(bytes);
  Report(raft::SnapshotArrived{position, last_staged_});
}

void SimNode::Receive(const Packet& packet, bool flipped) {
  if (!running_ || !MayReceiveFrom(packet)) return;
  auto envelope = raft::DecodeEnvelope(packet.bytes);
  if (!envelope.ok()) return;
  if (flipped) around_.checker->Fail("a message with a flipped bit is taken for a good one");
  if (running_->inbox->TryPush(&*envelope)) PlanRaft();
}

void SimNode::Publish(std::string command, base::Duration patience, raft::PublishDone done) {
  if (!running_) return done({raft::PublishOutcome::Kind::kDropped, {}});
  raft::WaitingPublish publish{std::move(command), clock_.Now() + patience, std::move(done)};
  if (running_->inbox->TryPush(&publish)) PlanRaft();
}

void SimNode::ChangeConfiguration(std::string command, raft::Index based_on,
                                  base::Duration patience, raft::PublishDone done) {
  if (!running_) return done({raft::PublishOutcome::Kind::kDropped, {}});
  raft::WaitingPublish change{std::move(command), clock_.Now() + patience, std::move(done),
                              raft::EntryKind::kConfiguration, based_on};
  if (running_->inbox->TryPush(&change)) PlanRaft();
}

void SimNode::Read(base::Duration patience, raft::ReadDone done) {
  if (!running_) return done(raft::ReadOutcome::kStopped);
  raft::WaitingRead read{clock_.Now() + patience, std::move(done)};
  if (running_->inbox->TryPush(&read)) PlanRaft();
}

void SimNode::PlanTurn(base::Duration delay, bool* planned, void (SimNode::*turn)()) {
  if (*planned || paused_) return;
  *planned = true;
  world_->After(delay, [this, planned, turn, life = life_] {
    if (life != life_ || !running_) return;
    *planned = false;
    if (!paused_) RunTurn(turn);
  });
}

void SimNode::RunTurn(void (SimNode::*turn)()) {
  try {
    (this->*turn)();
  } catch (const base::PowerLoss&) {
    EndProcess("loses power while it writes", true);
  } catch (const ProcessEnded& ended) {
    EndProcess("ends: " + ended.why, false);
  }
}

base::Duration SimNode::TurnDelay(base::Duration low, base::Duration high) {
  const bool slow = !healed_ && world_->random()->Chance(settings_.slow_turns);
  return slow ? world_->RandomDelay(high, milliseconds(80)) : world_->RandomDelay(low, high);
}

void SimNode::PlanRaft() {
  PlanTurn(TurnDelay(microseconds(5), microseconds(200)), &running_->raft_planned,
           &SimNode::RaftTurn);
}

void SimNode::PlanLog() {
  const bool stalls = !healed_ && world_->random()->Chance(0.0005);
  base::Duration delay = stalls ? world_->RandomDelay(milliseconds(100), milliseconds(2500))
                                : world_->RandomDelay(settings_.sync_min, settings_.sync_max);
  delay = std::max(delay, stalled_until_ - std::min(stalled_until_, world_->now()));
  PlanTurn(delay, &running_->log_planned, &SimNode::LogTurn);
}

void SimNode::PlanApply() {
  PlanTurn(TurnDelay(microseconds(20), milliseconds(2)), &running_->apply_planned,
           &SimNode::ApplyTurn);
}

void SimNode::PlanTimer() {
  const base::TimePoint due = clock_.WorldTimeOf(running_->driver->next_due());
  if (due == base::kForever) return;
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
  running_->driver->RunOnce(clock_.Now());
  RunAnswers();
  PlanLog();
  PlanApply();
  PlanTimer();
}

void SimNode::LogTurn() {
  if (running_->log_writer->RunOnce()) {
    PlanRaft();
    PlanLog();
  }
}

void SimNode::ApplyTurn() {
  if (!running_->applier->RunOnce()) return;
  if (const auto flushed = running_->machine->DoBackgroundWork()) {
    Report(raft::StateFlushed{*flushed});
  }
  RunAnswers();
  PlanRaft();
  PlanApply();
}

}  // namespace simulation
