// SPDX-License-Identifier: Apache-2.0

#include "raft/core/log.h"

#include <algorithm>

#include "glog/logging.h"

namespace raft {

size_t EntryBytes(const Entry& entry) { return entry.command.size() + sizeof(Entry); }

Log::Log(LogPosition base, std::vector<LogPosition> term_runs, Index last_index,
         const std::vector<EntryRef>& tail)
    : base_(base), term_runs_(std::move(term_runs)), last_index_(last_index) {
  CHECK_EQ(term_runs_.empty(), last_index_ == base_.index);
  for (size_t i = 0; i < term_runs_.size(); ++i) {
    if (i == 0) {
      CHECK_EQ(term_runs_[i].index, base_.index + 1);
      CHECK_GE(term_runs_[i].term, base_.term);
    } else {
      CHECK_GT(term_runs_[i].term, term_runs_[i - 1].term);
      CHECK_GT(term_runs_[i].index, term_runs_[i - 1].index);
    }
    CHECK_LE(term_runs_[i].index, last_index_);
  }
  for (const EntryRef& entry : tail) {
    CHECK(Matches(entry->position())) << entry->position();
    entries_.push_back(entry);
    bytes_ += EntryBytes(*entry);
  }
  if (!entries_.empty()) {
    CHECK_EQ(entries_.back()->index, last_index_);
    CHECK_EQ(entries_.front()->index + (entries_.size() - 1), last_index_);
  }
}

LogPosition Log::last() const {
  if (term_runs_.empty()) return base_;
  return {term_runs_.back().term, last_index_};
}

std::optional<Term> Log::TermAt(Index index) const {
  if (index == base_.index) return base_.term;
  if (index < base_.index || index > last_index_) return std::nullopt;
  auto run = std::upper_bound(term_runs_.begin(), term_runs_.end(), index,
                              [](Index i, const LogPosition& r) { return i < r.index; });
  CHECK(run != term_runs_.begin());
  return std::prev(run)->term;
}

LogPosition Log::LastPossibleMatch(LogPosition limit) const {
  Index index = std::min(limit.index, last_index_);
  while (index > base_.index) {
    auto run = std::upper_bound(term_runs_.begin(), term_runs_.end(), index,
                                [](Index i, const LogPosition& r) { return i < r.index; });
    --run;
    if (run->term <= limit.term) return {run->term, index};
    index = run->index - 1;
  }
  return base_;
}

void Log::Append(EntryRef entry) {
  CHECK_EQ(entry->index, last_index_ + 1);
  CHECK_GE(entry->term, last().term);
  if (term_runs_.empty() || term_runs_.back().term < entry->term) {
    term_runs_.push_back(entry->position());
  }
  last_index_ = entry->index;
  bytes_ += EntryBytes(*entry);
  entries_.push_back(std::move(entry));
}

void Log::TruncateFrom(Index first) {
  CHECK_GT(first, base_.index);
  while (!entries_.empty() && last_index_ >= first) {
    bytes_ -= EntryBytes(*entries_.back());
    entries_.pop_back();
    last_index_ = last_index_ - 1;
  }
  if (last_index_ >= first) last_index_ = first - 1;
  while (!term_runs_.empty() && term_runs_.back().index > last_index_) term_runs_.pop_back();
}

void Log::Release(LogPosition base) {
  CHECK(Matches(base)) << base;
  while (!entries_.empty() && entries_.front()->index <= base.index) {
    bytes_ -= EntryBytes(*entries_.front());
    entries_.pop_front();
  }
  // The run that the base lies in goes on right behind it, unless it ends there.
  size_t gone = 0;
  while (gone < term_runs_.size() && term_runs_[gone].index <= base.index) ++gone;
  const Index next = base.index + 1;
  const bool run_goes_on = gone > 0 && last_index_ >= next &&
                           (gone == term_runs_.size() || term_runs_[gone].index > next);
  if (run_goes_on) term_runs_[--gone].index = next;
  term_runs_.erase(term_runs_.begin(), term_runs_.begin() + static_cast<ptrdiff_t>(gone));
  base_ = base;
}

void Log::Restart(LogPosition base) { *this = Log(base, {}, base.index, {}); }

bool Log::InMemory(Index index) const {
  return index <= last_index_ && index + entries_.size() > last_index_;
}

const EntryRef& Log::At(Index index) const {
  CHECK(InMemory(index)) << index;
  return entries_[entries_.size() - 1 - (last_index_ - index)];
}

std::vector<EntryRef> Log::Slice(Index from, size_t bytes_max) const {
  CHECK(InMemory(from)) << from;
  std::vector<EntryRef> slice;
  size_t bytes = 0;
  for (size_t at = entries_.size() - 1 - (last_index_ - from); at < entries_.size(); ++at) {
    bytes += EntryBytes(*entries_[at]);
    if (!slice.empty() && bytes > bytes_max) break;
    slice.push_back(entries_[at]);
  }
  return slice;
}

void Log::Evict(Index evictable, size_t bytes_max) {
  while (bytes_ > bytes_max && !entries_.empty() && entries_.front()->index <= evictable) {
    bytes_ -= EntryBytes(*entries_.front());
    entries_.pop_front();
  }
}

}  // namespace raft
