// SPDX-License-Identifier: Apache-2.0
//
// raft_log_map.h: which entries of the log lie where in its segments, and what their terms are.
//
// What comes later in the files wins. The same map is built by reading the segments again and by
// appending to them, so the two always agree.
// Threads: one at a time.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "raft/core/types.h"

namespace store {

struct RaftLogSegment {
  std::string path;
  uint64_t sequence = 0;
  uint64_t generation = 0;
  std::unique_ptr<base::File> file;
  // The log would begin here if the segments before this one were gone.
  raft::LogPosition base;
  // Of the last batch in it.
  uint64_t end = 0;
};

class RaftLogMap {
 public:
  // The batch at `offset` holds entries from some index on, none twice, as do those behind it up
  // to `end`, which lies elsewhere.
  struct Place {
    std::shared_ptr<RaftLogSegment> segment;
    uint64_t offset = 0;
    raft::Index end;
  };

  // All entries and segments are forgotten; the log begins behind `base`.
  void Restart(raft::LogPosition base);
  // The next batches are in `segment`, whose base is set here but for the first one's.
  void AddSegment(std::shared_ptr<RaftLogSegment> segment);
  // A batch of `bytes` stands at the end of the last segment. Entries that it replaces are cut.
  // A first index at or below the base moves the base down to `previous`.
  // Requires: consecutive entries, the first at most one behind the last of the log; `previous` is
  //           the entry before the first.
  void AddBatch(raft::LogPosition previous, std::span<const raft::EntryRef> entries,
                uint64_t bytes);
  // Forgets the first segment and its entries. Requires: it is not the last.
  void DropFirstSegment();

  // Requires: base().index < index <= last().index.
  Place Find(raft::Index index) const;
  // Requires: base().index <= index <= last().index.
  raft::Term TermAt(raft::Index index) const;

  raft::LogPosition base() const { return base_; }
  raft::LogPosition last() const { return {TermAt(last_index_), last_index_}; }
  // The terms as runs: (term, first index), ascending, from the first entry on.
  std::vector<raft::LogPosition> TermRuns() const;
  const std::deque<std::shared_ptr<RaftLogSegment>>& segments() const { return segments_; }

 private:
  struct Point {
    std::shared_ptr<RaftLogSegment> segment;
    uint64_t offset = 0;
  };

  void Cut(raft::LogPosition previous);

  std::deque<std::shared_ptr<RaftLogSegment>> segments_;
  // Where reading may begin: at this place a batch begins whose first entry has the index of the
  // point. Each segment and each batch that replaces others begins a point.
  std::map<raft::Index, Point> points_;
  // The first may begin below the base.
  std::vector<raft::LogPosition> term_runs_;
  raft::LogPosition base_;
  raft::Index last_index_;
  uint64_t bytes_since_point_ = 0;
};

}  // namespace store
