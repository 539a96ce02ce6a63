// SPDX-License-Identifier: Apache-2.0
//
// raft_log.h: the replicated log on disk, the only write-ahead log there is.
//
// A chain of append-only segment files (raft_log_format.h). An entry that replaces another is
// written behind it like any other: what comes later in the file wins, so nothing is ever
// rewritten in place and a crash leaves the old tail or the new one.
//
// Threads: Append, Sync: log thread. Read: any. PrepareSegment: any one thread.
// Errors:  a write or sync that the disk refuses ends the process (DESIGN.md, rule 5).

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/random.h"
#include "raft/core/types.h"
#include "raft/node/ports.h"

namespace store {

struct RaftLogOptions {
  std::string directory;
  // A segment is zero-filled to this size ahead of use: overwriting zeroed blocks syncs in half
  // the time of growing a file. A batch larger than that gets a segment of its own size.
  uint64_t segment_bytes = 64 << 20;
  // Entries behind this index are kept in memory by Open, for the node's start.
  raft::Index keep_after;
  // A log was begun here before: if there is none, it was lost, and Open says so.
  bool must_exist = false;
  uint64_t random_seed = 0;
};

// What Open found.
struct RaftLogContents {
  // The log begins behind this place; 0/0 if nothing was ever dropped from its front.
  raft::LogPosition base;
  // The terms of the log as runs: (term, first index), ascending.
  std::vector<raft::LogPosition> term_runs;
  raft::Index last_index;
  // The entries behind RaftLogOptions::keep_after.
  std::vector<raft::EntryRef> tail;
  // Bytes of an unfinished write that were cut from the end.
  uint64_t torn_bytes = 0;
};

class RaftLog final : public raft::LogStore {
 public:
  // Opens the log in `options.directory`, begun if there is none, and reads all of it. What was
  // being written when a crash came is cut; everything that stays is durable when it returns.
  // Errors: DataLoss, naming file and offset, if something is wrong below the last batch that
  //         is proven to have been durable. It is not repaired here.
  static absl::StatusOr<std::unique_ptr<RaftLog>> Open(base::FileSystem* files,
                                                       const RaftLogOptions& options,
                                                       RaftLogContents* contents);

  void Append(std::span<const raft::EntryRef> entries) override;
  void Sync() override;
  absl::StatusOr<std::vector<raft::EntryRef>> Read(raft::Index from, size_t bytes_max) override;

  void Restart(raft::LogPosition base) override;
  raft::LogPosition Release(raft::Index through) override;

  // Makes the file that the log will go on in when the current one is full, unless it is there.
  // Without it Append makes a file that grows as it is written; so an error here (a full disk, say)
  // is no reason to end, and it is not tried again before the next segment is begun.
  absl::Status PrepareSegment();

 private:
  struct Segment {
    std::string path;
    uint64_t generation = 0;
    std::unique_ptr<base::File> file;
  };

  // Where reading may begin: at this place a batch begins whose first record has the index of
  // the point. A point holds the entries up to the next point, none of them twice: each batch
  // that overwrites begins a point and drops those behind it.
  struct Point {
    size_t segment = 0;
    uint64_t offset = 0;
  };

  RaftLog(base::FileSystem* files, const RaftLogOptions& options)
      : files_(files), options_(options), random_(options.random_seed) {}

  absl::Status Load(RaftLogContents* contents);
  absl::Status RemoveUnfinishedSegment(std::vector<std::string>* names);
  absl::StatusOr<std::string> ReadBatch(const Segment& segment, uint64_t offset);
  absl::Status LoadSegment(const std::string& name, bool is_last, RaftLogContents* contents);
  absl::Status LoadBatches(const std::string& bytes, bool is_last, RaftLogContents* contents);
  absl::Status LoadRecords(std::string_view records, uint32_t count, uint64_t offset,
                           RaftLogContents* contents);
  absl::Status CutTornTail(const std::string& bytes, uint64_t offset, RaftLogContents* contents);
  absl::Status Corruption(uint64_t offset, const std::string& what) const;
  absl::Status MakeSpare();
  // A batch whose first entry is `first` begins at `offset`; its bytes are counted by the caller.
  void AddPoint(raft::Index first, uint64_t offset);
  void StartSegment(raft::LogPosition base);
  std::string SegmentPath(uint64_t sequence) const;

  base::FileSystem* const files_;
  const RaftLogOptions options_;
  base::Random random_;

  // Guards what Read shares with Append.
  std::mutex mutex_;
  std::vector<std::shared_ptr<Segment>> segments_;
  std::map<raft::Index, Point> points_;
  raft::Index last_index_;

  // Owned by the log thread.
  uint64_t end_ = 0;         // of the last batch in the current segment
  uint64_t next_batch_ = 1;  // number
  uint64_t next_sequence_ = 1;
  uint64_t bytes_since_point_ = 0;
  bool unsynced_ = false;

  std::mutex spare_mutex_;
  bool spare_ready_ = false;
  bool spare_refused_ = false;
};

}  // namespace store
