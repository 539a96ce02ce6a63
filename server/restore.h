// SPDX-License-Identifier: Apache-2.0
//
// restore.h: a data directory of a new cluster, made from a snapshot file, etcd's or ours (they are
// the same).
//
// Each member of the new cluster restores from the same file, with the same --initial-cluster and
// token; they then start from the same state. Nothing of the old cluster's identity comes along.
// Threads: one.
// Errors:  the text says which file or flag is wrong; what was made is removed again.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "store/snapshot_import.h"

namespace server {

struct RestoreOptions {
  std::string snapshot;
  std::string name = "default";
  // Empty: "<name>.datum". Must not exist, or be empty.
  std::string data_dir;
  // As the server's flags of these names.
  std::string initial_cluster;
  std::string initial_cluster_token = "etcd-cluster";
  std::vector<std::string> initial_advertise_peer_urls = {"http://localhost:2380"};
  // For a file that has no hash behind it: a copy of a member's own database.
  bool skip_hash_check = false;
  int64_t bump_revision = 0;
  bool mark_compacted = false;
  bool accept_auth_off = false;
  std::function<void(uint64_t changes)> on_progress;
};

struct Restored {
  std::string data_dir;
  store::Imported imported;
};
absl::StatusOr<Restored> RestoreSnapshot(const RestoreOptions& options);

// What `snapshot status` shows. The hash behind the file, if it has one, is checked.
struct SnapshotStatus {
  store::SnapshotSummary summary;
  uint64_t bytes = 0;
  bool hash_checked = false;
};
absl::StatusOr<SnapshotStatus> ReadSnapshotStatus(const std::string& path);

}  // namespace server
