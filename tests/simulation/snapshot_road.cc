// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/snapshot_road.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "tests/simulation/sim_node.h"

namespace simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct SnapshotRoad::Transfer {
  SimNode* from;
  SimNode* to;
  // The lives of both processes in which it began.
  uint64_t life_from;
  uint64_t life_to;
  raft::NodeId peer;
  raft::LogPosition position;
  std::string bytes;
  Done done;
};

void SnapshotRoad::Send(SimNode* from, raft::NodeId peer, Done done) {
  auto transfer = std::make_shared<Transfer>();
  transfer->from = from;
  transfer->to = find_(peer);
  transfer->peer = peer;
  transfer->done = std::move(done);
  if (transfer->to == nullptr) return transfer->done(absl::UnavailableError("unknown peer"));
  transfer->life_from = from->life();
  transfer->life_to = transfer->to->life();
  // The checkpoint is made a little later, in the background.
  world_->After(world_->RandomDelay(microseconds(100), milliseconds(50)),
                [this, transfer] { Depart(transfer); });
}

bool SnapshotRoad::Holds(const Transfer& transfer) const {
  const auto alive = [](const SimNode* node, uint64_t life) {
    return node->running() && node->life() == life;
  };
  return alive(transfer.from, transfer.life_from) && alive(transfer.to, transfer.life_to) &&
         transfer.to->id() == transfer.peer && !is_cut_(*transfer.from, *transfer.to);
}

void SnapshotRoad::Depart(const std::shared_ptr<Transfer>& transfer) {
  // What waits for the end of a process that is gone ends with it.
  if (transfer->from->life() != transfer->life_from) return;
  if (!Holds(*transfer) || !transfer->from->ExportState(&transfer->position, &transfer->bytes)) {
    return transfer->done(absl::UnavailableError("the stream broke"));
  }
  GoOn(transfer, transfer->bytes.size());
}

void SnapshotRoad::GoOn(const std::shared_ptr<Transfer>& transfer, size_t bytes_left) {
  const base::Duration delay = world_->RandomDelay(microseconds(50), settings_.chunk_max);
  world_->After(delay, [this, transfer, bytes_left] {
    if (transfer->from->life() != transfer->life_from) return;
    if (!Holds(*transfer)) return transfer->done(absl::UnavailableError("the stream broke"));
    // A process that is paused takes nothing, and the stream waits.
    if (transfer->to->paused() || transfer->from->paused()) return GoOn(transfer, bytes_left);
    if (bytes_left > settings_.chunk_bytes) {
      return GoOn(transfer, bytes_left - settings_.chunk_bytes);
    }
    transfer->to->Stage(transfer->position, std::move(transfer->bytes));
    transfer->done(transfer->position);
  });
}

}  // namespace simulation
