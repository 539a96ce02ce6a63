// SPDX-License-Identifier: Apache-2.0
//
// sim_node_start.cc: what a member finds on its disk when it starts, as server/storage.cc does it.

#include <utility>

#include "base/status.h"
#include "glog/logging.h"
#include "tests/simulation/sim_meta.h"
#include "tests/simulation/sim_node.h"

namespace simulation {

void SimNode::LoadPromises(Running* running) {
  auto meta = SimMeta::Open(&files_);
  if (!meta.ok()) {
    if (!absl::IsDataLoss(meta.status())) throw ProcessEnded{meta.status().ToString()};
    around_.checker->Fail(name() + ": " + meta.status().ToString());
    throw ProcessEnded{"it cannot read what it has promised"};
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
  options.digest_interval = settings_.digest_interval;
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
  (*machine)->set_keep_staged([this](raft::LogPosition position) {
    running_->promises->SaveTakenState(running_->promises->state_number() + 1, position);
  });
  (*machine)->set_on_installed([this] { states_.erase(running_->promises->state_number() - 1); });
  (*machine)->set_on_damage([this](const absl::Status& damage) {
    Tell("loses its state: " + std::string(damage.message()));
    if (running_) Report(raft::StateLost{});
  });
  running->machine =
      std::make_unique<SimMachine>(id_, *std::move(machine), world_->random(), around_.checker,
                                   &durable_, &stray_, around_.watchers);
  // It went astray behind what was flushed: the log makes it whole.
  if (stray_.wanted || stray_.since > running->machine->applied().index) {
    stray_ = Stray();
    damaged_ = false;
  }
  if (stray_.since != raft::Index{}) running->machine->DistrustForWatchers();
  running->machine->set_flush_chance(settings_.flush_chance);
}

absl::StatusOr<std::unique_ptr<store::Engine>> SimNode::TakeStaged(uint64_t staged) {
  const auto found = staged_.find(staged);
  if (found == staged_.end()) return absl::NotFoundError("nothing is staged under that name");
  const std::string bytes = std::move(found->second);
  staged_.erase(found);
  ASSIGN_OR_RETURN(std::shared_ptr<store::MemoryDisk> disk, store::MemoryDisk::Import(bytes));
  const uint64_t number = running_->promises->state_number() + 1;
  states_[number] = disk;
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
    Doubt(running, damage);
    return absl::OkStatus();
  };
  store::RaftLogContents contents;
  auto log = store::RaftLog::Open(&files_, options, &contents);
  if (!log.ok()) throw ProcessEnded{log.status().ToString()};
  running->log = *std::move(log);
  if (world_->random()->Chance(0.5)) running->log->PrepareSegment().IgnoreError();
  const DurableLog before = durable_;
  NoteDurableLog(contents);
  CheckDurableLogStays(before);
  const bool lost = running->machine->lost();
  if (!lost && applied.index < contents.base.index) {
    around_.checker->Fail(name() + "'s log begins behind its state");
  }
  if (!lost && !durable_.Holds(applied)) {
    BeginLogAnew(running, applied, &contents);
  } else if (!lost) {
    running->promises->LogSettled();
  }
  running->promises->RaiseTerm(contents.base.term);
  durable_.hard_state = running->promises->hard_state();
  start->log_base = contents.base;
  start->term_runs = std::move(contents.term_runs);
  start->last_index = contents.last_index;
  start->tail = std::move(contents.tail);
}

void SimNode::Doubt(Running* running, const std::string& damage) {
  Tell("doubts itself: " + damage);
  if (!damaged_) around_.checker->Fail("a log that only lost its unsynced tail: " + damage);
  raft::HardState doubtful = running->promises->hard_state();
  doubtful.doubtful = true;
  running->promises->SaveHardState(doubtful);
  durable_.hard_state = doubtful;
}

// All that the state holds was committed: the log goes on behind it. As server/storage.cc: without
// doubt if the state was just taken.
void SimNode::BeginLogAnew(Running* running, raft::LogPosition applied,
                           store::RaftLogContents* contents) {
  Tell("begins its log anew behind its state");
  if (!running->promises->LogUnsettledAt(applied)) Doubt(running, "it was lost");
  running->log->Restart(applied);
  running->promises->LogSettled();
  *contents = store::RaftLogContents();
  contents->base = applied;
  contents->last_index = applied.index;
  NoteDurableLog(*contents);
}

void SimNode::CheckDurableLogStays(const DurableLog& before) {
  if (damaged_) return;
  for (raft::Index index = before.base.index + 1; index <= before.last_index(); ++index) {
    const raft::Term term = before.terms[index - before.base.index - 1];
    if (durable_.Holds({term, index})) continue;
    // A write that overwrites it was under way.
    if (index <= durable_.last_index()) return;
    return around_.checker->Fail("what is durable stays: " + name() + " held up to entry " +
                                 std::to_string(before.last_index().value()) + ", now " +
                                 std::to_string(durable_.last_index().value()));
  }
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

}  // namespace simulation
