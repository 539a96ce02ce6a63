// SPDX-License-Identifier: Apache-2.0
//
// raft_log_recovery.h: the segments of a log read at a start, and what is wrong with them told
// apart: a write that a crash left unfinished, and damage to what had been acknowledged.
//
// Nothing is changed by Read; Mend makes the files as if they ended where the reading did.
//
// Unfinished is only the last batch, never acknowledged, and only if at least one of its sectors
// is zero that would not be so by nature: that sector never reached the disk. Every other wrong
// byte, and every segment that is not there, is damage: the entries behind it were perhaps
// promised to somebody (raft-pitfalls F3; FAST'18 "Protocol-Aware Recovery").
// Threads: one.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/file.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "store/raft_log_format.h"
#include "store/raft_log_map.h"

namespace store {

inline constexpr char kSegmentSuffix[] = ".log";
inline constexpr char kDamagedPrefix[] = "damaged-";

class RaftLogRecovery {
 public:
  // Entries behind `keep_after` are kept in memory. `must_exist`: a log was begun here before.
  RaftLogRecovery(base::FileSystem* files, std::string directory, raft::Index keep_after,
                  bool must_exist)
      : files_(files),
        directory_(std::move(directory)),
        keep_after_(keep_after),
        must_exist_(must_exist) {}

  // Errors: what the file system says of names and opening; never what was read.
  absl::Status Read();

  // Empty if nothing is damaged; else file, offset and what is wrong there.
  const std::string& damage() const { return damage_; }
  uint64_t torn_bytes() const { return torn_end_ - std::min(torn_end_, TornBegin()); }

  // Cuts what is unfinished or damaged, and keeps the latter aside as `damaged-<n>`; removes the
  // segments before one at which the log began anew. Durable when it returns OK.
  absl::Status Mend();

  // What is there, up to where the reading ended.
  RaftLogMap map;
  std::vector<raft::EntryRef> tail;
  std::vector<std::pair<raft::Index, raft::Configuration>> configurations;
  uint64_t next_batch = 1;
  uint64_t next_sequence = 1;

 private:
  absl::Status FindNames();
  absl::Status DropUnfinishedSegment();
  absl::Status DropObsoleteSegments();
  // False if the log can be read no further than before it.
  absl::StatusOr<bool> ReadSegment(const std::string& name, bool is_last);
  bool ReadBatches(std::string_view bytes, bool is_last);
  bool ReadBatch(const raft_log_format::Batch& batch, uint64_t offset);
  void ReadEnd(std::string_view bytes);
  // The whole file; sectors that the disk does not give back are zero and noted.
  absl::StatusOr<std::string> ReadWhole(const base::File& file);
  bool Damaged(const std::string& path, uint64_t offset, const std::string& what);
  uint64_t TornBegin() const { return map.segments().empty() ? 0 : map.segments().back()->end; }

  absl::Status KeepBytesAside(const RaftLogSegment& segment, const std::string& path);
  absl::StatusOr<std::vector<std::string>> NamesForDamaged(size_t count);

  base::FileSystem* const files_;
  const std::string directory_;
  const raft::Index keep_after_;
  const bool must_exist_;

  std::vector<std::string> names_;
  // How many of names_ were read to where the log ends.
  size_t names_read_ = 0;
  std::vector<std::string> obsolete_;
  bool base_is_firm_ = false;
  // Of the segment at hand: offsets of sectors that could not be read.
  std::vector<uint64_t> unreadable_;
  // Of the last segment: behind the last byte of it that is not zero.
  uint64_t torn_end_ = 0;
  std::string damage_;
};

}  // namespace store
