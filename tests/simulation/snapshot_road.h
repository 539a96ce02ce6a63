// SPDX-License-Identifier: Apache-2.0
//
// snapshot_road.h: how whole states go from host to host: as a stream of chunks that a cut, a
// crash or a pause breaks off, in milliseconds or in minutes.
//
// What it carries is what MemoryDisk exports; the staging beside the old state is the receiver's
// (SimNode::Stage).

#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "raft/core/types.h"
#include "tests/simulation/world.h"

namespace simulation {

class SimNode;

struct SnapshotRoadSettings {
  size_t chunk_bytes = 4 << 10;
  base::Duration chunk_max = std::chrono::milliseconds(5);
};

class SnapshotRoad {
 public:
  using Done = std::function<void(absl::StatusOr<raft::LogPosition>)>;
  // The host where that member lives, null if nobody knows.
  using FindNode = std::function<SimNode*(raft::NodeId)>;
  // Whether nothing passes from one host to the other just now.
  using IsCut = std::function<bool(const SimNode& from, const SimNode& to)>;

  SnapshotRoad(World* world, const SnapshotRoadSettings& settings, FindNode find, IsCut is_cut)
      : world_(world), settings_(settings), find_(std::move(find)), is_cut_(std::move(is_cut)) {}

  // As raft::SnapshotTransport::SendSnapshot, for the member that lives at `from`.
  void Send(SimNode* from, raft::NodeId peer, Done done);

  // From now on it is quick.
  void Heal() { settings_ = SnapshotRoadSettings(); }

 private:
  struct Transfer;
  void Depart(const std::shared_ptr<Transfer>& transfer);
  void GoOn(const std::shared_ptr<Transfer>& transfer, size_t bytes_left);
  // False, and the sender is told, if the stream broke.
  bool Holds(const Transfer& transfer) const;

  World* const world_;
  SnapshotRoadSettings settings_;
  const FindNode find_;
  const IsCut is_cut_;
};

}  // namespace simulation
