// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_machine.h"

#include <algorithm>

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
    checker_->OnApply(node_, *item.entry, OperationOf(*item.entry));
  }
  results->clear();
  // Batches of any size give the same state.
  while (!items.empty()) {
    const size_t count = random_->Chance(0.5) ? items.size() : random_->Between(1, items.size());
    std::vector<raft::ApplyResult> some;
    machine_->Apply(items.first(count), &some);
    std::move(some.begin(), some.end(), std::back_inserter(*results));
    checker_->OnState(node_, machine_->applied().index, machine_->state_hash());
    items = items.subspan(count);
  }
}

void SimMachine::DoBackgroundWork() {
  if (random_->Chance(0.02)) machine_->Flush();
  if (random_->Chance(0.1)) {
    const absl::StatusOr<bool> more = machine_->CompactStep(random_->Between(1, 100));
    if (!more.ok()) checker_->Fail("compaction: " + std::string(more.status().message()));
  }
}

}  // namespace simulation
