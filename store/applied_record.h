// SPDX-License-Identifier: Apache-2.0
//
// applied_record.h: how far the state has come, one record that is part of every batch.
//
// Family `applied`, name "position":
//   | index 8 | term 8 | revision 8 | compact revision 8 | compacted at 8 | live bytes 8 | hash 8 |
//   | digest index 8 | digest hash 8 | written 8 | size offset 8 |
//   (The first version ended before "written".)

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "raft/core/types.h"
#include "store/keys.h"

namespace store {

inline constexpr std::string_view kPositionName = "position";
// The compact revision up to which old versions were dropped; this member's own, not replicated.
inline constexpr std::string_view kDroppedToName = "dropped_to";

struct AppliedRecord {
  raft::LogPosition applied;
  int64_t revision = kEmptyStoreRevision;
  int64_t compact_revision = kNeverCompacted;
  // The revision the store was at when the compaction to compact_revision was applied. Changes
  // after it keep what they replace themselves.
  int64_t compacted_at = 0;
  // Keys and values of the live datums.
  int64_t live_bytes = 0;
  // The bytes of all changes since the store was empty.
  int64_t written_bytes = 0;
  // What makes the store's size of them: what was live when the newest compaction was applied,
  // less all that had been written up to its revision.
  int64_t size_offset = 0;
  // Of all that was applied since the store was empty: equal on members at the same index.
  uint64_t state_hash = 0;
  // What it was at the newest multiple of raft::kDigestInterval.
  raft::StateDigest digest;

  // What the store holds: the versions above the compact revision, and those that are needed below
  // it (counted are all that were live when it was compacted). The same on every member, whatever
  // lies on its disk.
  int64_t size_bytes() const { return written_bytes + size_offset; }

  friend bool operator==(const AppliedRecord&, const AppliedRecord&) = default;
};

std::string EncodeAppliedRecord(const AppliedRecord& record);
// Errors: DataLoss.
absl::StatusOr<AppliedRecord> DecodeAppliedRecord(std::string_view bytes);

}  // namespace store
