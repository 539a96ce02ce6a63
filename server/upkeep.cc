// SPDX-License-Identifier: Apache-2.0

#include "server/upkeep.h"

#include "glog/logging.h"
#include "proto/etcd/raft_internal.pb.h"

namespace server {
namespace {

// Changes that one step of the background compaction looks at.
constexpr size_t kCompactStepRecords = 2000;
constexpr base::Duration kPause = std::chrono::milliseconds(50);
constexpr base::Duration kLookInterval = std::chrono::milliseconds(500);
// A disk fills at hundreds of MiB a second.
constexpr base::Duration kSpaceLookInterval = std::chrono::milliseconds(50);

}  // namespace

Upkeep::Upkeep(const Config& config, Storage* storage, raft::Node* node, NoSpaceAlarm* alarm,
               CompactionWaiters* compactions)
    : request_timeout_(config.RequestTimeout()),
      storage_(storage),
      node_(node),
      compactions_(compactions),
      alarm_(alarm),
      auto_compaction_(
          *ParseAutoCompaction(config.auto_compaction_mode, config.auto_compaction_retention)) {}

base::Duration Upkeep::Once(base::TimePoint now) {
  const absl::Status spare = storage_->log->PrepareSegment();
  LOG_IF(WARNING, !spare.ok()) << "no log segment could be made ahead: " << spare;
  // Those who wait while the state is lost wait no longer than they said.
  compactions_->Look(storage_->machine->dropped_to(), now);
  // A lost state has nothing to be kept up.
  if (storage_->machine->lost()) return kPause;
  const auto more = storage_->machine->CompactStep(kCompactStepRecords);
  LOG_IF(ERROR, !more.ok()) << "compaction in the background: " << more.status();
  storage_->machine->FlushIfDue(now);
  if (now >= look_due_) {
    look_due_ = now + kLookInterval;
    ReleaseLog();
    storage_->machine->CheckFiles().IgnoreError();  // the machine says what it found
    CompactIfDue(now);
  }
  if (state_is_current_ && now >= space_look_due_) {
    space_look_due_ = now + kSpaceLookInterval;
    alarm_->Look(now);
  }
  return more.ok() && *more ? base::Duration::zero() : kPause;
}

void Upkeep::ReleaseLog() {
  const auto flushed = storage_->machine->persisted_applied();
  // Said again: what a peer that lagged has held back may go once it has caught up.
  if (flushed.ok()) node_->Report(raft::StateFlushed{flushed->index});
}

void Upkeep::CompactIfDue(base::TimePoint now) {
  const raft::NodeStatus status = node_->status();
  const auto revision =
      auto_compaction_.Look(now, storage_->machine->revision(),
                            storage_->machine->compact_revision(), status.leader == status.self);
  if (!revision.has_value()) return;
  LOG(INFO) << "compacts to revision " << *revision << " (--auto-compaction-retention)";
  etcdserverpb::InternalRaftRequest request;
  request.mutable_compaction()->set_revision(*revision);
  node_->Publish(request.SerializeAsString(), now + request_timeout_,
                 [](const raft::PublishOutcome&) {});
}

}  // namespace server
