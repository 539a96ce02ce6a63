// SPDX-License-Identifier: Apache-2.0

#include "raft/node/driver.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/end_process.h"
#include "glog/logging.h"

namespace raft {
namespace {

constexpr base::Duration kExpireInterval = std::chrono::milliseconds(50);
// An ask for a read index that is not answered for this many heartbeats was lost.
constexpr int kReadPatienceHeartbeats = 3;
// An id is the boot count, then this many bits of counter: a million a second for twelve days.
constexpr int kCounterBits = 40;
// What a lagging peer gets from the disk at once.
constexpr size_t kFetchBytesMax = 1 << 20;

CoreOptions ToCoreOptions(const NodeOptions& options, const NodeStart& start) {
  CoreOptions core;
  core.session = Session(start.boot_count);
  core.self = options.self;
  core.configuration = Configuration(options.voters);
  core.bootstrap_command = options.bootstrap_command;
  core.heartbeat_interval = options.heartbeat_interval;
  core.election_timeout = options.election_timeout;
  core.apply_gap_max = options.apply_gap_max;
  core.append_bytes_max = options.append_bytes_max;
  core.in_flight_messages_max = options.in_flight_messages_max;
  core.log_cache_bytes_max = options.log_cache_bytes_max;
  core.random_seed = options.random_seed;
  return core;
}

CoreStart ToCoreStart(NodeStart start) {
  return {start.hard_state,
          Log(start.log_base, std::move(start.term_runs), start.last_index, start.tail),
          start.applied.index,
          std::move(start.configurations),
          start.digest,
          start.state_lost};
}

}  // namespace

Driver::Driver(const NodeOptions& options, NodeStart start, const Parts& parts, base::TimePoint now,
               std::function<void(const NodeStatus&)> on_status)
    : options_(options),
      parts_(parts),
      core_(ToCoreOptions(options, start), ToCoreStart(start), now),
      on_status_(std::move(on_status)),
      now_(now),
      expire_due_(now + kExpireInterval),
      next_id_(start.boot_count << kCounterBits) {
  status_.self = options_.self;
  status_.leader_lost_at = now;
  UpdateStatus();
}

void Driver::RunOnce(base::TimePoint now) {
  const base::Duration late = now - next_due();
  now_ = std::max(now, now_);
  NoticeStandstill(late);
  // What came is taken before what is due is done: after a pause of this process the leader's
  // heartbeats that wait in the inbox are heard before an election is thought of.
  for (InboxItem& item : parts_.inbox->TakeNow()) Take(std::move(item));
  if (core_.next_due() <= now_) Step(Tick{});
  StepPublishes();
  StepReads();
  Do(std::exchange(effects_, Effects()));
  UpdateStatus();
  if (now_ >= expire_due_) Expire();
  HandOutAnswers();
}

// Who comes much too late to what was due did not run.
void Driver::NoticeStandstill(base::Duration late) {
  if (late >= options_.heartbeat_interval) Step(StoodStill{late});
}

void Driver::HandOutAnswers() {
  parts_.answers->Push(std::exchange(answers_, {}));
  parts_.reads->Push(std::exchange(read_answers_, {}));
}

base::TimePoint Driver::next_due() const { return std::min(core_.next_due(), expire_due_); }

void Driver::Take(InboxItem item) {
  if (auto* publish = std::get_if<WaitingPublish>(&item)) {
    Hold(std::move(*publish));
  } else if (auto* read = std::get_if<WaitingRead>(&item)) {
    // Those that may be served already and wait for a read thread count as well.
    if (reads_.size() + parts_.reads->size() >= options_.inbox_publishes_max) {
      answers_.push_back([done = std::move(read->done)] { done(ReadOutcome::kRefused); });
    } else {
      reads_.Add(std::move(*read));
    }
  } else if (auto* envelope = std::get_if<Envelope>(&item)) {
    Step(std::move(*envelope));
  } else {
    std::visit(
        [this](auto& report) {
          if constexpr (std::is_constructible_v<Event, decltype(report)>) Step(std::move(report));
        },
        item);
  }
}

// What waits for a leader, and what waits for its outcome, is bounded like the inbox.
void Driver::Hold(WaitingPublish publish) {
  const size_t waiting = held_publishes_.size() + parts_.publishes->size();
  if (waiting >= options_.inbox_publishes_max ||
      held_bytes_ + publish.command.size() > options_.inbox_bytes_max) {
    return Answer(std::move(publish.done), PublishOutcome::Kind::kRefused);
  }
  held_bytes_ += publish.command.size();
  held_publishes_.push_back(std::move(publish));
}

void Driver::Step(Event event) {
  if (!on_step_) return core_.Step(now_, std::move(event), &effects_);
  const CoreView before = CoreView::Of(core_);
  core_.Step(now_, std::move(event), &effects_);
  on_step_(before, effects_);
}

// All that wait get their ids and go into the core, or on to the leader, as one event.
void Driver::StepPublishes() {
  // While leadership is handed over they wait for the next leader.
  if (held_publishes_.empty() || core_.leader() == kNobody || core_.transferring()) return;
  Publish publish;
  held_bytes_ = 0;
  for (WaitingPublish& waiting : std::exchange(held_publishes_, {})) {
    const PublishId id(++next_id_);
    parts_.publishes->Add(id, core_.current_term(), waiting.deadline, std::move(waiting.done));
    publish.proposals.push_back({id, std::move(waiting.command), waiting.kind, waiting.based_on});
  }
  Step(std::move(publish));
}

void Driver::StepReads() {
  if (!reads_.has_waiting() || core_.leader() == kNobody) return;
  const ReadId id(++next_id_);
  reads_.Asked(id, now_);
  Step(ReadRequest{id});
}

// In the order of effects.h.
void Driver::Do(Effects effects) {
  parts_.sender->Send(effects.send_now);
  parts_.log_writer->Write(&effects);
  if (!effects.apply.empty()) parts_.applier->Hand(std::move(effects.apply));
  for (const ReadGrant& grant : effects.reads) reads_.OnGrant(grant);
  const bool early = base::Planted("read-before-applied");
  reads_.TakeReady(early ? core_.commit_index() + 1'000'000 : core_.last_applied(), &read_answers_);
  for (const RefusedPublish& refused : effects.refused) Refuse(refused);
  for (const Fetch& fetch : effects.fetches) FetchFromDisk(fetch);
  for (const StagedSnapshot& staged : effects.staged) {
    if (staged.install) {
      parts_.applier->Install(staged.staged);
    } else {
      parts_.snapshots->Discard(staged.staged);
    }
  }
  for (const SnapshotWish& wish : effects.snapshots) SendSnapshot(wish);
  if (effects.state_differs) {
    LOG(ERROR) << "this member's state differs from that of a quorum: it serves nothing from it "
                  "and takes another member's";
    parts_.applier->DeclareLost(absl::DataLossError("it differs from that of a quorum"));
  }
  LOG_IF(ERROR, effects.acknowledged_is_gone)
      << "this member's disk does not hold what the member has acknowledged to the leader: it lost "
         "what it had synced, or is an older copy. The member does not vote until it has all of "
         "that again";
}

void Driver::SendSnapshot(const SnapshotWish& wish) {
  Inbox* inbox = parts_.inbox;
  auto done = [inbox, peer = wish.peer](absl::StatusOr<LogPosition> position) {
    LOG_IF(WARNING, !position.ok())
        << "snapshot for peer " << peer << ": " << position.status().message();
    inbox->PushReport(SnapshotSent{peer, position.ok(), position.ok() ? *position : LogPosition{}});
  };
  parts_.snapshots->SendSnapshot(wish.peer, wish.term, std::move(done));
}

void Driver::Refuse(const RefusedPublish& refused) {
  PublishDone done = parts_.publishes->Take(refused.id);
  if (!done) return;
  using Kind = PublishOutcome::Kind;
  switch (refused.reason) {
    case RefusalReason::kNoLeader:
    case RefusalReason::kNotLeader:
      return Answer(std::move(done), Kind::kDropped);
    case RefusalReason::kTooMany:
      return Answer(std::move(done), Kind::kRefused);
    case RefusalReason::kConfigurationChanged:
      return Answer(std::move(done), Kind::kConfigurationChanged);
    case RefusalReason::kLearnerNotReady:
      return Answer(std::move(done), Kind::kLearnerNotReady);
    case RefusalReason::kBadConfiguration:
      return Answer(std::move(done), Kind::kBadConfiguration);
  }
}

// Always answered, with nothing if the disk cannot: the core asks for one at a time.
void Driver::FetchFromDisk(const Fetch& fetch) {
  Inbox* inbox = parts_.inbox;
  LogStore* log = parts_.log;
  parts_.fetches->Push({[inbox, log, fetch] {
    absl::StatusOr<std::vector<EntryRef>> entries = log->Read(fetch.from, kFetchBytesMax);
    if (!entries.ok()) {
      LOG(ERROR) << "entries from " << fetch.from << " for peer " << fetch.peer << ": "
                 << entries.status().message();
      entries = std::vector<EntryRef>();
    }
    inbox->PushReport(Fetched{fetch.peer, fetch.from, *std::move(entries)});
  }});
}

void Driver::Answer(PublishDone done, PublishOutcome::Kind kind) {
  answers_.push_back([done = std::move(done), kind] { done({kind, {}}); });
}

// CockroachDB and others end themselves here too: a disk that does not answer for so long will not
// be well again, and while it lasts nobody can tell this member from one that works.
void Driver::EndIfDiskIsDead() const {
  if (options_.disk_stall_max == base::Duration::zero()) return;
  const auto asked_at = core_.oldest_write_at();
  if (!asked_at || *asked_at + options_.disk_stall_max > now_) return;
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now_ - *asked_at);
  base::EndProcess("the disk below the data directory has not finished a write for " +
                   std::to_string(waited.count()) + " s: this member ends itself");
}

void Driver::Expire() {
  expire_due_ = now_ + kExpireInterval;
  EndIfDiskIsDead();
  for (PublishDone& done : parts_.publishes->TakeExpired(now_)) {
    Answer(std::move(done), PublishOutcome::Kind::kUnknown);
  }
  const auto expired =
      std::stable_partition(held_publishes_.begin(), held_publishes_.end(),
                            [this](const WaitingPublish& w) { return w.deadline > now_; });
  for (auto waiting = expired; waiting != held_publishes_.end(); ++waiting) {
    held_bytes_ -= waiting->command.size();
    Answer(std::move(waiting->done), PublishOutcome::Kind::kNoLeader);
  }
  held_publishes_.erase(expired, held_publishes_.end());
  reads_.AskStaleAgain(now_ - kReadPatienceHeartbeats * options_.heartbeat_interval);
  reads_.TakeExpired(now_, core_.leader() != kNobody, &answers_);
}

void Driver::StopAll() {
  for (PublishDone& done : parts_.publishes->TakeAll()) {
    Answer(std::move(done), PublishOutcome::Kind::kUnknown);
  }
  for (InboxItem& item : parts_.inbox->TakeNow()) {
    if (auto* publish = std::get_if<WaitingPublish>(&item)) {
      held_publishes_.push_back(std::move(*publish));
    } else if (auto* read = std::get_if<WaitingRead>(&item)) {
      reads_.Add(std::move(*read));
    }
  }
  for (WaitingPublish& waiting : std::exchange(held_publishes_, {})) {
    Answer(std::move(waiting.done), PublishOutcome::Kind::kDropped);
  }
  reads_.TakeAll(ReadOutcome::kStopped, &answers_);
  HandOutAnswers();
}

void Driver::UpdateStatus() {
  NodeStatus next = status_;
  next.role = core_.role();
  next.term = core_.current_term();
  next.leader = core_.leader();
  next.commit_index = core_.commit_index();
  next.applied_index = core_.last_applied();
  next.persisted_index = core_.persisted_index();
  next.last_index = core_.log().last().index;
  next.commit_wait = core_.commit_wait();
  next.doubtful = core_.hard_state().doubtful;
  next.outlived = core_.outlived();
  next.state_lost = core_.state_lost();
  next.is_learner = core_.configuration().IsLearner(options_.self);
  next.transferring = core_.transferring();
  const bool leader_changed = next.leader != status_.leader || next.term != status_.term;
  const bool changed =
      leader_changed || next.role != status_.role || next.outlived != status_.outlived;
  if (status_.leader != kNobody && next.leader == kNobody) next.leader_lost_at = now_;
  if (next.transferring && !status_.transferring) LogHandOver();
  {
    std::lock_guard lock(status_mutex_);
    status_ = next;
  }
  if (leader_changed) reads_.AskAllAgain();
  if (changed && on_status_) on_status_(next);
}

void Driver::LogHandOver() const {
  std::string why = "it was asked to";
  if (core_.state_lost()) {
    why = "its state is lost";
  } else if (core_.commit_wait() == CommitWait::kOwnDisk) {
    const auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(now_ - *core_.oldest_write_at());
    why = "its disk has not finished a write for " + std::to_string(waited.count()) + " ms";
  }
  LOG(WARNING) << "this member hands leadership over: " << why;
}

NodeStatus Driver::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace raft
