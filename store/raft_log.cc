// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/canary.h"
#include "base/end_process.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/raft_log_format.h"

namespace store {
namespace {

using raft::EntryRef;
using raft::Index;
using raft::LogPosition;
using raft_log_format::Batch;
using raft_log_format::DecodeBatch;
using raft_log_format::DecodeHeader;
using raft_log_format::DecodeRecord;
using raft_log_format::EncodeBatch;
using raft_log_format::EncodeHeader;
using raft_log_format::kSectorBytes;
using raft_log_format::PaddedBatchBytes;
using raft_log_format::SegmentHeader;

constexpr char kSuffix[] = ".log";
constexpr char kSpareName[] = "spare";
// How far reading may have to scan for an entry.
constexpr uint64_t kPointSpacingBytes = 64 << 10;
constexpr size_t kZeroChunkBytes = 1 << 20;

// The durability path has no second try (DESIGN.md, rule 5; ATC'20 "Can applications recover
// from fsync failures?").
void OrDie(const absl::Status& status) {
  if (status.ok() || base::Planted("disk-error-ignored")) return;
  base::EndProcess(absl::StrCat("raft log: the disk refuses: ", status.ToString()));
}

bool IsSegmentName(std::string_view name) {
  return name.size() == 16 + sizeof kSuffix - 1 && name.substr(16) == kSuffix;
}

absl::Status FillWithZeros(base::File* file, uint64_t from, uint64_t to) {
  const std::string zeros(kZeroChunkBytes, '\0');
  while (from < to) {
    const uint64_t length = std::min<uint64_t>(zeros.size(), to - from);
    RETURN_IF_ERROR(file->WriteAt(from, std::string_view(zeros).substr(0, length)));
    from += length;
  }
  return absl::OkStatus();
}

void CutTermRuns(Index first, std::vector<LogPosition>* runs) {
  while (!runs->empty() && runs->back().index >= first) runs->pop_back();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RaftLog>> RaftLog::Open(base::FileSystem* files,
                                                       const RaftLogOptions& options,
                                                       RaftLogContents* contents) {
  *contents = RaftLogContents();
  auto log = std::unique_ptr<RaftLog>(new RaftLog(files, options));
  RETURN_IF_ERROR(files->MakeDirectory(options.directory));
  RETURN_IF_ERROR(log->Load(contents));
  return log;
}

absl::Status RaftLog::Load(RaftLogContents* contents) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, files_->List(options_.directory));
  std::erase_if(names, [](const std::string& name) { return !IsSegmentName(name); });
  RETURN_IF_ERROR(RemoveUnfinishedSegment(&names));
  if (names.empty()) {
    if (options_.must_exist) {
      return absl::DataLossError(absl::StrCat("raft log: ", options_.directory,
                                              ": the log that was here is gone, and with it what "
                                              "this member acknowledged"));
    }
    RETURN_IF_ERROR(PrepareSegment());
    StartSegment({});
  }
  for (size_t i = 0; i < names.size(); ++i) {
    RETURN_IF_ERROR(LoadSegment(names[i], i + 1 == names.size(), contents));
  }
  contents->last_index = last_index_;
  // A process that was killed may have written what it did not sync: it is in the page cache
  // and was just read, so it must be made durable before anything builds on it.
  if (!segments_.empty()) {
    RETURN_IF_ERROR(segments_.back()->file->Sync());
    RETURN_IF_ERROR(files_->SyncDirectory(options_.directory));
  }
  return absl::OkStatus();
}

// A segment's header is synced before its first batch: a last file without a header and with
// nothing behind it was just being made. It goes before the others are read, so that the one
// before it is known to be the last.
absl::Status RaftLog::RemoveUnfinishedSegment(std::vector<std::string>* names) {
  if (names->empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(options_.directory, "/", names->back());
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(path, false));
  ASSIGN_OR_RETURN(const std::string header, file->ReadAt(0, kSectorBytes));
  if (DecodeHeader(header)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  ASSIGN_OR_RETURN(const std::string bytes, file->ReadAt(0, size));
  if (bytes.size() > kSectorBytes &&
      bytes.find_first_not_of('\0', kSectorBytes) != std::string::npos) {
    return absl::OkStatus();
  }
  // The only one of a log that was begun before is no beginning: Load refuses it, and it stays.
  if (options_.must_exist && names->size() == 1) return absl::OkStatus();
  names->pop_back();
  return files_->Remove(path);
}

absl::Status RaftLog::LoadSegment(const std::string& name, bool is_last,
                                  RaftLogContents* contents) {
  auto segment = std::make_shared<Segment>();
  segment->path = absl::StrCat(options_.directory, "/", name);
  ASSIGN_OR_RETURN(segment->file, files_->Open(segment->path, false));
  ASSIGN_OR_RETURN(const uint64_t size, segment->file->Size());
  ASSIGN_OR_RETURN(const std::string bytes, segment->file->ReadAt(0, size));
  const std::optional<SegmentHeader> header = DecodeHeader(bytes);
  if (!header) {
    return absl::DataLossError(
        absl::StrCat("raft log: ", segment->path, ": offset 0: the segment's header is wrong"));
  }
  segment->generation = header->generation;
  segments_.push_back(segment);
  end_ = kSectorBytes;
  if (absl::StrFormat("%016x%s", header->sequence, kSuffix) != name) {
    return Corruption(0, "the header belongs to another segment");
  }
  if (segments_.size() == 1) {
    next_batch_ = header->first_batch;
  } else if (header->sequence != next_sequence_) {
    return Corruption(0, "a segment before this one is missing");
  } else if (header->first_batch != next_batch_) {
    return Corruption(0, absl::StrCat("batches ", next_batch_, " to ", header->first_batch - 1,
                                      ", which came before this segment, are gone"));
  }
  next_sequence_ = header->sequence + 1;
  if (header->base != LogPosition{}) {
    contents->base = header->base;
    contents->term_runs.clear();
    contents->tail.clear();
    points_.clear();
    last_index_ = header->base.index;
  }
  return LoadBatches(bytes, is_last, contents);
}

absl::Status RaftLog::LoadBatches(const std::string& bytes, bool is_last,
                                  RaftLogContents* contents) {
  const uint64_t generation = segments_.back()->generation;
  while (end_ < bytes.size()) {
    const std::optional<Batch> batch =
        DecodeBatch(generation, std::string_view(bytes).substr(end_));
    if (!batch || batch->number != next_batch_) {
      // In an older segment the next segment's first batch number tells whether one is missing.
      return is_last ? CutTornTail(bytes, end_, contents) : absl::OkStatus();
    }
    RETURN_IF_ERROR(LoadRecords(batch->records, batch->record_count, end_, contents));
    bytes_since_point_ += batch->padded_bytes;
    end_ += batch->padded_bytes;
    ++next_batch_;
  }
  return absl::OkStatus();
}

absl::Status RaftLog::LoadRecords(std::string_view records, uint32_t count, uint64_t offset,
                                  RaftLogContents* contents) {
  const uint64_t generation = segments_.back()->generation;
  for (uint32_t i = 0; i < count; ++i) {
    const EntryRef entry = DecodeRecord(generation, &records);
    if (!entry) return Corruption(offset, "a record is wrong in a batch that is right");
    if (entry->index <= contents->base.index || entry->index > last_index_ + 1) {
      return Corruption(offset, absl::StrCat("entry ", entry->index.value(), " follows entry ",
                                             last_index_.value()));
    }
    if (i == 0) AddPoint(entry->index, offset);
    if (entry->index <= last_index_) {
      CutTermRuns(entry->index, &contents->term_runs);
      while (!contents->tail.empty() && contents->tail.back()->index >= entry->index) {
        contents->tail.pop_back();
      }
    }
    last_index_ = entry->index;
    if (contents->term_runs.empty() || contents->term_runs.back().term < entry->term) {
      contents->term_runs.push_back(entry->position());
    } else if (contents->term_runs.back().term > entry->term) {
      return Corruption(offset, "the terms of the entries fall");
    }
    if (entry->index > options_.keep_after) contents->tail.push_back(entry);
  }
  return absl::OkStatus();
}

// No batch that verifies begins at `offset`. One fsync makes one batch durable before the next
// is written; so if a later batch is there, this one was acknowledged and has been damaged since.
absl::Status RaftLog::CutTornTail(const std::string& bytes, uint64_t offset,
                                  RaftLogContents* contents) {
  const uint64_t generation = segments_.back()->generation;
  const std::string_view all = bytes;
  for (uint64_t at = offset + kSectorBytes; at < all.size(); at += kSectorBytes) {
    const std::optional<Batch> later = DecodeBatch(generation, all.substr(at));
    if (later && later->number > next_batch_) {
      return Corruption(offset, absl::StrCat("batch ", next_batch_, " is damaged: batch ",
                                             later->number, " follows it at offset ", at));
    }
  }
  const size_t last_used = all.find_last_not_of('\0');
  if (last_used == std::string_view::npos || last_used < offset) return absl::OkStatus();
  contents->torn_bytes = last_used + 1 - offset;
  return FillWithZeros(segments_.back()->file.get(), offset, last_used + 1);
}

absl::Status RaftLog::Corruption(uint64_t offset, const std::string& what) const {
  return absl::DataLossError(
      absl::StrCat("raft log: ", segments_.back()->path, ": offset ", offset, ": ", what));
}

void RaftLog::AddPoint(Index first, uint64_t offset) {
  const bool overwrites = first <= last_index_;
  if (overwrites) points_.erase(points_.lower_bound(first), points_.end());
  if (overwrites || points_.empty() || bytes_since_point_ >= kPointSpacingBytes ||
      points_.rbegin()->second.segment + 1 != segments_.size()) {
    points_[first] = {segments_.size() - 1, offset};
    bytes_since_point_ = 0;
  }
}

void RaftLog::Append(std::span<const EntryRef> entries) {
  if (entries.empty()) return;
  // Recovery tells a torn tail from damage by this: only one batch is ever not durable.
  CHECK(!unsynced_) << "Append before the last batch was synced";
  CHECK_LE(entries.front()->index, last_index_ + 1);

  size_t bytes = raft_log_format::kBatchHeaderBytes;
  for (const EntryRef& entry : entries) {
    bytes += raft_log_format::kRecordHeaderBytes + entry->command.size();
  }
  bytes = raft_log_format::Padded(bytes);
  if (end_ + bytes > std::max(options_.segment_bytes, kSectorBytes + bytes)) {
    StartSegment({});
  }
  const std::shared_ptr<Segment> segment = segments_.back();
  OrDie(segment->file->WriteAt(end_, EncodeBatch(segment->generation, next_batch_, entries)));
  unsynced_ = true;
  ++next_batch_;

  std::lock_guard lock(mutex_);
  // Entries of one batch ascend but for a cut inside it (two leaders' entries joined in one
  // write); Read would see both, so such a batch is a bug of the caller.
  for (size_t i = 1; i < entries.size(); ++i) {
    CHECK_EQ(entries[i]->index, entries[i - 1]->index + 1);
  }
  AddPoint(entries.front()->index, end_);
  bytes_since_point_ += bytes;
  last_index_ = entries.back()->index;
  end_ += bytes;
}

void RaftLog::Sync() {
  if (!unsynced_) return;
  OrDie(segments_.back()->file->Sync());
  unsynced_ = false;
}

std::string RaftLog::SegmentPath(uint64_t sequence) const {
  return absl::StrFormat("%s/%016x%s", options_.directory, sequence, kSuffix);
}

absl::Status RaftLog::PrepareSegment() {
  {
    std::lock_guard lock(spare_mutex_);
    if (spare_ready_ || spare_refused_) return absl::OkStatus();
  }
  // Outside the lock: the log thread does not wait for this, it goes on in a file that grows.
  const absl::Status made = MakeSpare();
  std::lock_guard lock(spare_mutex_);
  spare_ready_ = made.ok();
  spare_refused_ = !made.ok();
  return made;
}

absl::Status RaftLog::MakeSpare() {
  const std::string path = absl::StrCat(options_.directory, "/", kSpareName);
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(path, true));
  absl::Status status = FillWithZeros(file.get(), 0, options_.segment_bytes);
  if (status.ok()) status = file->Sync();
  // What was written of it would only take room from those who need it.
  if (!status.ok()) files_->Remove(path).IgnoreError();
  return status;
}

LogPosition RaftLog::Release(Index) { return {}; }

void RaftLog::Restart(LogPosition base) {
  CHECK(base != LogPosition{});
  {
    std::lock_guard lock(mutex_);
    points_.clear();
    last_index_ = base.index;
  }
  StartSegment(base);
}

void RaftLog::StartSegment(LogPosition base) {
  auto segment = std::make_shared<Segment>();
  segment->path = SegmentPath(next_sequence_);
  {
    std::lock_guard lock(spare_mutex_);
    if (spare_ready_) {
      OrDie(files_->Rename(absl::StrCat(options_.directory, "/", kSpareName), segment->path));
      spare_ready_ = false;
    }
    spare_refused_ = false;
  }
  auto file = files_->Open(segment->path, true);
  OrDie(file.status());
  segment->file = *std::move(file);
  segment->generation = random_.Next();
  OrDie(segment->file->WriteAt(
      0, EncodeHeader({segment->generation, next_sequence_, next_batch_, base})));
  OrDie(segment->file->Sync());
  OrDie(files_->SyncDirectory(options_.directory));
  ++next_sequence_;
  end_ = kSectorBytes;
  std::lock_guard lock(mutex_);
  segments_.push_back(std::move(segment));
}

// The bytes of the batch at `offset`, no more than it says of itself, nor than there are.
absl::StatusOr<std::string> RaftLog::ReadBatch(const Segment& segment, uint64_t offset) {
  ASSIGN_OR_RETURN(const std::string header, segment.file->ReadAt(offset, kSectorBytes));
  const std::optional<uint64_t> length = PaddedBatchBytes(header);
  if (!length || *length <= header.size()) return header;
  ASSIGN_OR_RETURN(const uint64_t size, segment.file->Size());
  return segment.file->ReadAt(offset, std::min(*length, size - offset));
}

absl::StatusOr<std::vector<EntryRef>> RaftLog::Read(Index from, size_t bytes_max) {
  std::vector<EntryRef> entries;
  size_t bytes = 0;
  while (true) {
    std::shared_ptr<Segment> segment;
    Point point;
    Index end;  // the first index that this point does not hold
    {
      std::lock_guard lock(mutex_);
      if (from == Index{} || from > last_index_) {
        if (!entries.empty()) return entries;
        return absl::OutOfRangeError(absl::StrCat("raft log: no entry ", from.value()));
      }
      auto next = points_.upper_bound(from);
      end = next == points_.end() ? last_index_ + 1 : next->first;
      CHECK(next != points_.begin());
      point = std::prev(next)->second;
      segment = segments_[point.segment];
    }
    uint64_t offset = point.offset;
    while (from < end) {
      ASSIGN_OR_RETURN(const std::string bytes_of_batch, ReadBatch(*segment, offset));
      const std::optional<Batch> batch = DecodeBatch(segment->generation, bytes_of_batch);
      if (!batch) {
        return absl::DataLossError(absl::StrCat("raft log: ", segment->path, ": offset ", offset,
                                                ": the batch is damaged"));
      }
      std::string_view records = batch->records;
      for (uint32_t i = 0; i < batch->record_count; ++i) {
        EntryRef entry = DecodeRecord(segment->generation, &records);
        if (!entry || entry->index >= end) break;
        if (entry->index != from) continue;
        bytes += entry->command.size();
        if (!entries.empty() && bytes > bytes_max) return entries;
        entries.push_back(std::move(entry));
        from = from + 1;
      }
      offset += batch->padded_bytes;
    }
  }
}

}  // namespace store
