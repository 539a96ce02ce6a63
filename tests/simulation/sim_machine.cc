// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_machine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/canary.h"
#include "google/protobuf/io/coded_stream.h"

namespace simulation {

// Field 1 of InternalRaftRequest, which is written first.
uint64_t OperationOf(const raft::Entry& entry) {
  constexpr uint32_t kIdTag = 1 << 3;
  if (entry.kind != raft::EntryKind::kCommand) return 0;
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const uint8_t*>(entry.command.data()),
      static_cast<int>(entry.command.size()));
  uint64_t operation = 0;
  if (stream.ReadTag() != kIdTag || !stream.ReadVarint64(&operation)) return 0;
  return operation;
}

void SimMachine::Apply(std::span<const raft::ApplyItem> items,
                       std::vector<raft::ApplyResult>* results) {
  for (const raft::ApplyItem& item : items) {
    if (!lost()) checker_->OnApply(node_, *item.entry, OperationOf(*item.entry), *disk_);
    if (item.entry->kind == raft::EntryKind::kConfiguration) identities_known_ = false;
  }
  results->clear();
  // Batches of any size give the same state.
  while (!items.empty()) {
    const size_t count = random_->Chance(0.5) ? items.size() : random_->Between(1, items.size());
    std::vector<raft::ApplyResult> some;
    machine_->Apply(items.first(count), &some);
    std::move(some.begin(), some.end(), std::back_inserter(*results));
    if (!lost()) {
      checker_->OnState(node_, machine_->applied().index, machine_->state_hash());
    }
    items = items.subspan(count);
  }
}

absl::StatusOr<raft::InstalledState> SimMachine::Install(uint64_t staged) {
  absl::StatusOr<raft::InstalledState> installed = machine_->Install(staged);
  identities_known_ = false;
  if (installed.ok()) {
    checker_->OnState(node_, machine_->applied().index, machine_->state_hash());
    const uint64_t more = base::Planted("snapshot-says-more") ? 1 : 0;
    installed->position.index = installed->position.index + more;
  }
  return installed;
}

std::optional<raft::Index> SimMachine::DoBackgroundWork() {
  if (lost()) return std::nullopt;
  if (random_->Chance(0.1)) {
    const absl::StatusOr<bool> more = machine_->CompactStep(random_->Between(1, 100));
    if (!more.ok() && !lost()) {
      checker_->Fail("compaction: " + std::string(more.status().message()));
    }
  }
  if (!random_->Chance(flush_chance_)) return std::nullopt;
  machine_->Flush();
  // A flush that finds the state damaged makes nothing durable.
  const auto flushed = machine_->persisted_applied();
  if (!flushed.ok()) return std::nullopt;
  return flushed->index;
}

const SimMachine::Identities& SimMachine::identities() {
  if (identities_known_) return identities_;
  identities_ = {};
  const store::Membership membership = machine_->membership();
  for (const store::Member& member : membership.members) {
    if (member.data_dir_uuid().empty()) continue;
    identities_.uuid_of[member.id()] = std::stoull(member.data_dir_uuid());
  }
  identities_.removed = membership.removed;
  identities_known_ = true;
  return identities_;
}

}  // namespace simulation
