// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_node.h"

#include <limits>
#include <utility>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/wire/codec.h"

namespace simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

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
  void LogSettled(raft::LogPosition position) override { promises_->LogSettled(position); }

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

// Messages that wait for the end of a write.
class SimNode::HeldPort final : public raft::Transport {
 public:
  void Send(raft::NodeId to, std::string bytes) override {
    held_.push_back({to, std::move(bytes)});
  }
  void SendAll(raft::Transport* transport) {
    for (auto& [to, bytes] : std::exchange(held_, {})) transport->Send(to, std::move(bytes));
  }

 private:
  std::vector<std::pair<raft::NodeId, std::string>> held_;
};

class SimNode::SnapshotPort final : public raft::SnapshotTransport {
 public:
  explicit SnapshotPort(SimNode* node) : node_(node) {}
  void SendSnapshot(raft::NodeId peer, raft::Term, Done done) override {
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
  stray_ = Stray();
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
  running->held_messages = std::make_unique<HeldPort>();
  running->held_sender = std::make_unique<raft::Sender>(running->held_messages.get());
  running->held_reports = std::make_unique<raft::Inbox>(1, 1);
  running->log_writer = std::make_unique<raft::LogWriter>(
      running->observed_log.get(), running->observed_promises.get(), running->held_sender.get(),
      running->held_reports.get());
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
    if (effects.acknowledged_is_gone && !log_rotted_) {
      around_.checker->Fail(name() + " lacks what it has acknowledged, with a disk that is whole");
    }
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
    damaged_ = astray() || stray_.wanted ||
               (core() != nullptr && (core()->hard_state().doubtful || core()->state_lost()));
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
  power_lasts_ = base::Duration{};
  files_.LosePower(world_->random());
  running_ = nullptr;
  for (auto& [number, disk] : states_) disk->Crash();
  ++life_;
}

void SimNode::KillInWrite(base::Duration power_lasts) {
  if (!running_) return;
  power_lasts_ = power_lasts;
  files_.LosePowerAfter(world_->random()->Between(1, 6));
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
  damaged_ = log_rotted_ = true;
  around_.checker->OnLost(id_, session_, durable_);
  Tell(std::to_string(flips.size()) + " bits of its log rot, the first in " + flips[0].path +
       " at " + std::to_string(flips[0].offset));
}

void SimNode::RotState(base::Random* random) {
  if (states_.empty() || !states_.rbegin()->second->DamageRecord(random->Below(20))) return;
  damaged_ = true;
  Tell("a record of its state rots");
}

// Only where the digests of a run are close enough to find it.
void SimNode::TurnState() {
  if (!running_ || settings_.digest_interval == raft::kDigestInterval) return;
  stray_.wanted = damaged_ = true;
}

void SimNode::Heal() {
  healed_ = true;
  power_lasts_ = base::Duration{};
  files_.set_on_operation(nullptr);
  EmptyDisk();
  stalled_until_ = base::TimePoint::min();
  files_.LosePowerAfter(0);
  ThawClock();
  if (paused_) Resume();
  if (!running_) return Start();
  // A turn that was planned for the end of a stall need not be waited for.
  running_->log_planned = false;
  PlanLog();
  running_->applies_from = base::TimePoint::min();
  running_->apply_planned = false;
  PlanApply();
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
  // The fault atlas: what differs and is not found out yet is not handed on, else it might win;
  // nor do those that need a state wait for it for ever.
  if (astray()) {
    machine->DeclareLost(absl::DataLossError("it differs, and others ask for it"));
    return false;
  }
  machine->Flush();
  const auto flushed = machine->persisted_applied();
  if (!flushed.ok()) return false;
  *position = *flushed;
  *bytes = states_.at(running_->promises->state_number())->Export();
  return true;
}

void SimNode::Stage(raft::LogPosition position, std::string bytes) {
  staged_[++last_staged_] = std::move(bytes);
  // To open a whole state takes its time, and the apply thread does nothing else meanwhile.
  if (running_ && !healed_ && world_->random()->Chance(0.5)) {
    running_->applies_from =
        world_->now() + world_->RandomDelay(milliseconds(1), milliseconds(2500));
  }
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
    if (power_lasts_ == base::Duration{}) return EndProcess("loses power while it writes", true);
    Tell("is killed while it writes");
    const base::Duration soon = std::exchange(power_lasts_, base::Duration{});
    Kill();
    Start();
    world_->After(soon, [this] {
      if (running_ && !healed_) EndProcess("loses power soon after", true);
    });
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

// A write begins and ends at moments of their own, and a disk that stalls does so in between or
// before: what it was asked is then done and not told, or not done.
void SimNode::PlanLog() {
  base::Random* random = world_->random();
  const bool ends = running_->write_under_way;
  base::Duration delay = ends ? world_->RandomDelay(settings_.sync_min, settings_.sync_max)
                              : TurnDelay(microseconds(5), microseconds(200));
  if (!healed_ && random->Chance(0.0005)) {
    delay = world_->RandomDelay(milliseconds(100), milliseconds(2500));
  }
  if (ends || random->Chance(0.5)) {
    delay = std::max(delay, stalled_until_ - std::min(stalled_until_, world_->now()));
  }
  PlanTurn(delay, &running_->log_planned, ends ? &SimNode::EndLogTurn : &SimNode::LogTurn);
}

void SimNode::PlanApply() {
  base::Duration delay = TurnDelay(microseconds(20), milliseconds(2));
  delay = std::max(delay, running_->applies_from - std::min(running_->applies_from, world_->now()));
  PlanTurn(delay, &running_->apply_planned, &SimNode::ApplyTurn);
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
  if (running_->write_under_way || !running_->log_writer->RunOnce()) return;
  running_->write_under_way = true;
  PlanLog();
}

void SimNode::EndLogTurn() {
  if (world_->now() < stalled_until_) return PlanLog();
  running_->write_under_way = false;
  running_->held_messages->SendAll(running_->transport.get());
  for (raft::InboxItem& report : running_->held_reports->TakeNow()) {
    running_->inbox->PushReport(std::move(report));
  }
  PlanRaft();
  PlanLog();
}

void SimNode::ApplyTurn() {
  if (!running_->applier->RunOnce()) return;
  if (const auto flushed = running_->machine->DoBackgroundWork(world_->now())) {
    Report(raft::StateFlushed{*flushed});
  }
  RunAnswers();
  PlanRaft();
  PlanApply();
}

}  // namespace simulation
