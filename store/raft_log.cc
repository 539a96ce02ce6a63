// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/raft_log_format.h"
#include "store/raft_log_recovery.h"

namespace store {
namespace {

using raft::EntryRef;
using raft::Index;
using raft::LogPosition;
using raft_log_format::Batch;
using raft_log_format::BatchHeader;
using raft_log_format::DecodeBatch;
using raft_log_format::DecodeBatchHeader;
using raft_log_format::DecodeRecord;
using raft_log_format::EncodeBatch;
using raft_log_format::EncodeHeader;
using raft_log_format::kSectorBytes;

constexpr char kSpareName[] = "spare";
constexpr size_t kZeroChunkBytes = 1 << 20;

// Synced piece by piece: a sync of the log, beside it, waits behind a piece and not behind all.
absl::Status FillWithZeros(base::File* file, uint64_t to) {
  const std::string zeros(kZeroChunkBytes, '\0');
  for (uint64_t at = 0; at < to; at += zeros.size()) {
    const uint64_t length = std::min<uint64_t>(zeros.size(), to - at);
    RETURN_IF_ERROR(file->WriteAt(at, std::string_view(zeros).substr(0, length)));
    RETURN_IF_ERROR(file->Sync());
  }
  return absl::OkStatus();
}

}  // namespace

// ATC'20 "Can applications recover from fsync failures?": they cannot.
void RaftLog::OrDie(const absl::Status& status) const {
  if (status.ok() || base::Planted("disk-error-ignored")) return;
  if (options_.on_refusal) options_.on_refusal(status);
  LOG(FATAL) << "raft log: the disk refuses: " << status.message();
}

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
  RaftLogRecovery recovery(files_, options_.directory, options_.keep_after, options_.must_exist);
  RETURN_IF_ERROR(recovery.Read());
  contents->damage = recovery.damage();
  if (base::Planted("damage-taken-for-torn")) contents->damage.clear();
  if (!contents->damage.empty()) {
    if (!options_.on_damage) return absl::DataLossError(contents->damage);
    RETURN_IF_ERROR(options_.on_damage(contents->damage));
  } else {
    contents->torn_bytes = recovery.torn_bytes();
  }
  RETURN_IF_ERROR(recovery.Mend());
  map_ = std::move(recovery.map);
  next_batch_ = recovery.next_batch;
  next_sequence_ = recovery.next_sequence;
  if (map_.segments().empty()) {
    RETURN_IF_ERROR(PrepareSegment());
    StartSegment({}, /*anew=*/false);
  }
  contents->base = map_.base();
  contents->last_index = map_.last().index;
  contents->term_runs = map_.TermRuns();
  contents->tail = std::move(recovery.tail);
  contents->configurations = std::move(recovery.configurations);
  return absl::OkStatus();
}

void RaftLog::Append(std::span<const EntryRef> entries) {
  if (entries.empty()) return;
  // Recovery tells a torn tail from damage by this: only one batch is ever not durable.
  CHECK(!unsynced_) << "Append before the last batch was synced";
  const Index first = entries.front()->index;
  // Only this thread changes the map, so it may look without the lock.
  CHECK(map_.base().index < first && first <= map_.last().index + 1) << first;
  const LogPosition previous{map_.TermAt(first - 1), first - 1};

  size_t bytes = raft_log_format::kBatchHeaderBytes;
  for (const EntryRef& entry : entries) {
    bytes += raft_log_format::kRecordHeaderBytes + entry->command.size();
  }
  bytes = raft_log_format::Padded(bytes);
  if (map_.segments().back()->end + bytes >
      std::max(options_.segment_bytes, kSectorBytes + bytes)) {
    StartSegment(map_.last(), /*anew=*/false);
  }
  const RaftLogSegment& segment = *map_.segments().back();
  OrDie(segment.file->WriteAt(
      segment.end, EncodeBatch(segment.generation, next_batch_, previous.term, entries)));
  unsynced_ = true;
  ++next_batch_;
  std::lock_guard lock(mutex_);
  // Entries of one batch ascend; a cut inside it (two leaders' entries joined in one write) would
  // be a bug of the caller, which the map finds.
  map_.AddBatch(previous, entries, bytes);
}

void RaftLog::Sync() {
  if (!unsynced_) return;
  OrDie(map_.segments().back()->file->Sync());
  unsynced_ = false;
}

LogPosition RaftLog::Release(Index through) {
  uint64_t bytes = 0;
  for (const auto& segment : map_.segments()) bytes += segment->end;
  while (map_.segments().size() > 1) {
    const std::shared_ptr<RaftLogSegment> first = map_.segments().front();
    bytes -= first->end;
    if (map_.segments()[1]->base.index > through || bytes < options_.log_reserve_bytes) break;
    {
      std::lock_guard lock(mutex_);
      map_.DropFirstSegment();
    }
    RemoveSegment(*first);
  }
  return map_.base();
}

// Each for itself: a crash must not leave a hole between the segments that stay.
void RaftLog::RemoveSegment(const RaftLogSegment& segment) {
  OrDie(files_->Remove(segment.path));
  OrDie(files_->SyncDirectory(options_.directory));
}

void RaftLog::Restart(LogPosition base) {
  CHECK(base != LogPosition{});
  const auto old_segments = map_.segments();
  {
    std::lock_guard lock(mutex_);
    map_.Restart(base);
  }
  unsynced_ = false;
  StartSegment(base, /*anew=*/true);
  for (const auto& segment : old_segments) RemoveSegment(*segment);
}

std::string RaftLog::SegmentPath(uint64_t sequence) const {
  return absl::StrFormat("%s/%016x%s", options_.directory, sequence, kSegmentSuffix);
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
  const absl::Status status = FillWithZeros(file.get(), options_.segment_bytes);
  // What was written of it would only take room from those who need it.
  if (!status.ok()) files_->Remove(path).IgnoreError();
  return status;
}

void RaftLog::StartSegment(LogPosition base, bool anew) {
  auto segment = std::make_shared<RaftLogSegment>();
  segment->path = SegmentPath(next_sequence_);
  segment->sequence = next_sequence_;
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
  segment->base = base;
  segment->end = kSectorBytes;
  OrDie(segment->file->WriteAt(
      0, EncodeHeader({segment->generation, next_sequence_, next_batch_, base, anew})));
  OrDie(segment->file->Sync());
  OrDie(files_->SyncDirectory(options_.directory));
  ++next_sequence_;
  std::lock_guard lock(mutex_);
  map_.AddSegment(std::move(segment));
}

// The bytes of the batch at `offset`, no more than it says of itself, nor than there are.
absl::StatusOr<std::string> RaftLog::ReadBatch(const RaftLogSegment& segment,
                                               uint64_t offset) const {
  ASSIGN_OR_RETURN(const std::string first, segment.file->ReadAt(offset, kSectorBytes));
  const std::optional<BatchHeader> header = DecodeBatchHeader(segment.generation, first);
  if (!header || header->padded_bytes() <= first.size()) return first;
  ASSIGN_OR_RETURN(const uint64_t size, segment.file->Size());
  return segment.file->ReadAt(offset, std::min(header->padded_bytes(), size - offset));
}

absl::StatusOr<bool> RaftLog::ReadPlace(const RaftLogMap::Place& place, size_t bytes_max,
                                        Index* from, size_t* bytes,
                                        std::vector<EntryRef>* entries) const {
  const RaftLogSegment& segment = *place.segment;
  uint64_t offset = place.offset;
  while (*from < place.end) {
    const absl::StatusOr<std::string> read = ReadBatch(segment, offset);
    const std::optional<Batch> batch =
        read.ok() ? DecodeBatch(segment.generation, *read) : std::nullopt;
    if (!batch) {
      return absl::DataLossError(absl::StrCat("raft log: ", segment.path, ": offset ", offset,
                                              ": the batch is damaged", read.ok() ? "" : ": ",
                                              std::string(read.status().message())));
    }
    std::string_view records = batch->records;
    for (uint32_t i = 0; i < batch->header.record_count; ++i) {
      EntryRef entry = DecodeRecord(segment.generation, &records);
      if (!entry || entry->index >= place.end) break;
      if (entry->index != *from) continue;
      *bytes += entry->command.size();
      if (!entries->empty() && *bytes > bytes_max) return false;
      entries->push_back(std::move(entry));
      *from = *from + 1;
    }
    offset += batch->header.padded_bytes();
  }
  return true;
}

absl::StatusOr<std::vector<EntryRef>> RaftLog::Read(Index from, size_t bytes_max) {
  std::vector<EntryRef> entries;
  size_t bytes = 0;
  while (true) {
    RaftLogMap::Place place;
    {
      std::lock_guard lock(mutex_);
      if (from <= map_.base().index || from > map_.last().index) {
        if (!entries.empty()) return entries;
        return absl::OutOfRangeError(absl::StrCat("raft log: no entry ", from.value()));
      }
      place = map_.Find(from);
    }
    ASSIGN_OR_RETURN(const bool more, ReadPlace(place, bytes_max, &from, &bytes, &entries));
    if (!more) return entries;
  }
}

}  // namespace store
