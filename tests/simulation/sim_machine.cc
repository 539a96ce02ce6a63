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

std::vector<raft::ApplyItem> SimMachine::Turned(std::span<const raft::ApplyItem> items) {
  std::vector<raft::ApplyItem> turned(items.begin(), items.end());
  for (raft::ApplyItem& item : turned) {
    etcdserverpb::InternalRaftRequest request;
    if (!stray_->wanted || OperationOf(*item.entry) == 0) continue;
    if (!request.ParseFromString(item.entry->command) || !request.has_put()) continue;
    request.mutable_put()->mutable_value()->push_back('!');
    auto other = std::make_shared<raft::Entry>(*item.entry);
    other->command = request.SerializeAsString();
    item.entry = std::move(other);
    *stray_ = {false, item.entry->index};
  }
  return turned;
}

void SimMachine::TellState() {
  if (lost() || stray_->since != raft::Index{}) return;
  checker_->OnState(node_, machine_->applied().index, machine_->state_hash());
}

void SimMachine::Apply(std::span<const raft::ApplyItem> items,
                       std::vector<raft::ApplyResult>* results) {
  for (const raft::ApplyItem& item : items) {
    if (!lost()) checker_->OnApply(node_, *item.entry, OperationOf(*item.entry), *disk_);
    if (item.entry->kind == raft::EntryKind::kConfiguration) identities_known_ = false;
  }
  const std::vector<raft::ApplyItem> turned = Turned(items);
  items = turned;
  if (stray_->since != raft::Index{}) station_.Distrust();
  results->clear();
  // Batches of any size give the same state.
  while (!items.empty()) {
    const size_t count = random_->Chance(0.5) ? items.size() : random_->Between(1, items.size());
    std::vector<raft::ApplyResult> some;
    machine_->Apply(items.first(count), &some);
    std::move(some.begin(), some.end(), std::back_inserter(*results));
    TellState();
    items = items.subspan(count);
  }
}

absl::StatusOr<raft::InstalledState> SimMachine::Install(uint64_t staged) {
  absl::StatusOr<raft::InstalledState> installed = machine_->Install(staged);
  identities_known_ = false;
  if (installed.ok()) {
    *stray_ = Stray();
    TellState();
    const uint64_t more = base::Planted("snapshot-says-more") ? 1 : 0;
    installed->position.index = installed->position.index + more;
  }
  return installed;
}

std::optional<raft::Index> SimMachine::DoBackgroundWork(base::TimePoint now) {
  station_.Turn(now);
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
