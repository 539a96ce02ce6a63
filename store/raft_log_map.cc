// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log_map.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "glog/logging.h"

namespace store {
namespace {

using raft::Index;
using raft::LogPosition;

// How far reading may have to scan for an entry.
constexpr uint64_t kPointSpacingBytes = 64 << 10;

}  // namespace

void RaftLogMap::Restart(LogPosition base) {
  segments_.clear();
  points_.clear();
  term_runs_.clear();
  base_ = base;
  last_index_ = base.index;
}

void RaftLogMap::AddSegment(std::shared_ptr<RaftLogSegment> segment) {
  if (segments_.empty()) {
    base_ = segment->base;
    last_index_ = base_.index;
  } else {
    segment->base = last();
  }
  segments_.push_back(std::move(segment));
}

void RaftLogMap::Cut(LogPosition previous) {
  points_.erase(points_.upper_bound(previous.index), points_.end());
  while (!term_runs_.empty() && term_runs_.back().index > previous.index) term_runs_.pop_back();
  for (const auto& segment : segments_) {
    if (segment->base.index > previous.index) segment->base = previous;
  }
  base_ = segments_.front()->base;
  last_index_ = previous.index;
}

void RaftLogMap::AddBatch(LogPosition previous, std::span<const raft::EntryRef> entries,
                          uint64_t bytes) {
  CHECK(!segments_.empty());
  CHECK_LE(previous.index, last_index_);
  const bool replaces = previous.index < last_index_;
  if (replaces) Cut(previous);
  const std::shared_ptr<RaftLogSegment>& segment = segments_.back();
  if (replaces || points_.empty() || bytes_since_point_ >= kPointSpacingBytes ||
      points_.rbegin()->second.segment != segment) {
    points_[previous.index + 1] = {segment, segment->end};
    bytes_since_point_ = 0;
  }
  for (const raft::EntryRef& entry : entries) {
    CHECK_EQ(entry->index, last_index_ + 1);
    last_index_ = entry->index;
    if (term_runs_.empty() || term_runs_.back().term != entry->term) {
      term_runs_.push_back(entry->position());
    }
  }
  bytes_since_point_ += bytes;
  segment->end += bytes;
}

void RaftLogMap::DropFirstSegment() {
  CHECK_GT(segments_.size(), 1u);
  const std::shared_ptr<RaftLogSegment> dropped = segments_.front();
  segments_.pop_front();
  base_ = segments_.front()->base;
  while (!points_.empty() && points_.begin()->second.segment == dropped) {
    points_.erase(points_.begin());
  }
  while (term_runs_.size() > 1 && term_runs_[1].index <= base_.index + 1) {
    term_runs_.erase(term_runs_.begin());
  }
}

RaftLogMap::Place RaftLogMap::Find(Index index) const {
  CHECK(base_.index < index && index <= last_index_) << index;
  const auto next = points_.upper_bound(index);
  CHECK(next != points_.begin());
  const Point& point = std::prev(next)->second;
  return {point.segment, point.offset, next == points_.end() ? last_index_ + 1 : next->first};
}

raft::Term RaftLogMap::TermAt(Index index) const {
  CHECK(base_.index <= index && index <= last_index_) << index;
  if (index == base_.index) return base_.term;
  const auto after =
      std::upper_bound(term_runs_.begin(), term_runs_.end(), index,
                       [](Index wanted, const LogPosition& run) { return wanted < run.index; });
  CHECK(after != term_runs_.begin());
  return std::prev(after)->term;
}

std::vector<LogPosition> RaftLogMap::TermRuns() const {
  if (last_index_ == base_.index) return {};
  std::vector<LogPosition> runs = term_runs_;
  runs.front().index = std::max(runs.front().index, base_.index + 1);
  return runs;
}

}  // namespace store
