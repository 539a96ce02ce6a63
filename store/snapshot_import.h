// SPDX-License-Identifier: Apache-2.0
//
// snapshot_import.h: etcd's snapshot file as a state of ours.
//
// The file holds versions; the state also holds what each version replaced. So changes above the
// compact revision are written as apply would write them, and what they come out as is compared
// with what the file says.
// Threads: one.
// Errors:  DataLoss for a file that cannot be; FailedPrecondition for one that must not be served.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/bolt_reader.h"
#include "store/cluster_record.h"
#include "store/engine.h"

namespace store {

struct ImportOptions {
  // The members of the new cluster; those of the file are dropped.
  std::vector<Member> members;
  raft::Configuration configuration;
  // The position that the state stands at.
  raft::LogPosition position;
  // The revision is raised by so much, so that clients that knew more than the file find none of
  // their revisions again.
  int64_t bump_revision = 0;
  // All that the file holds of the past counts as compacted: watchers notice.
  bool mark_compacted = false;
  // Users and roles come along, but authentication is off until it is served.
  bool accept_auth_off = false;
  // Told now and then how many changes were taken.
  std::function<void(uint64_t changes)> on_progress;
};

struct Imported {
  int64_t revision = 0;
  int64_t compact_revision = 0;
  uint64_t changes = 0;
  uint64_t leases = 0;
  uint64_t users = 0;
  uint64_t roles = 0;
};

// Fills `engine`, which is empty, and flushes it.
absl::StatusOr<Imported> ImportSnapshot(const bolt::FileReader& file, const ImportOptions& options,
                                        Engine* engine);

// The cells of `etcdutl snapshot status`.
struct SnapshotSummary {
  uint32_t hash = 0;
  int64_t revision = 0;
  // Live keys.
  uint64_t total_keys = 0;
  std::string version;
};
absl::StatusOr<SnapshotSummary> SummarizeSnapshot(const bolt::FileReader& file);

}  // namespace store
