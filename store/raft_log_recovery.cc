// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log_recovery.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"

namespace store {
namespace {

using raft::EntryRef;
using raft::LogPosition;
using raft_log_format::Batch;
using raft_log_format::BatchHeader;
using raft_log_format::CountZeroSectors;
using raft_log_format::DecodeBatch;
using raft_log_format::DecodeBatchHeader;
using raft_log_format::DecodeHeader;
using raft_log_format::DecodeRecord;
using raft_log_format::kSectorBytes;
using raft_log_format::SegmentHeader;

// Files with damaged pieces that are kept for whoever wants to know; the oldest go first.
constexpr size_t kDamagedFilesMax = 16;
// Fewer bytes than this in a sector are no header of a batch: its magic alone has more.
constexpr size_t kHeaderBytesMin = 4;

bool IsSegmentName(std::string_view name) {
  return name.size() == 16 + sizeof kSegmentSuffix - 1 && name.substr(16) == kSegmentSuffix;
}

// Behind the last byte that is not zero.
uint64_t UsedBytes(std::string_view bytes) {
  const size_t last = bytes.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

bool AlmostZero(std::string_view sector) {
  const auto zeros = std::count(sector.begin(), sector.end(), '\0');
  return sector.size() - static_cast<size_t>(zeros) < kHeaderBytesMin;
}

uint64_t NumberOfDamaged(const std::string& name) {
  uint64_t number = 0;
  const std::string prefix = kDamagedPrefix;
  if (name.compare(0, prefix.size(), prefix) != 0) return 0;
  return absl::SimpleAtoi(name.substr(prefix.size()), &number) ? number : 0;
}

}  // namespace

absl::Status RaftLogRecovery::Read() {
  RETURN_IF_ERROR(FindNames());
  map.Restart({});
  if (names_.empty()) {
    if (must_exist_) {
      Damaged(directory_, 0,
              "the log that was here is gone, and with it what this member acknowledged");
    }
    return absl::OkStatus();
  }
  for (size_t i = 0; i < names_.size(); ++i) {
    ASSIGN_OR_RETURN(const bool whole, ReadSegment(names_[i], i + 1 == names_.size()));
    if (!whole) break;
  }
  // What is not read will not keep its name.
  if (!map.segments().empty()) next_sequence = map.segments().back()->sequence + 1;
  return absl::OkStatus();
}

absl::Status RaftLogRecovery::FindNames() {
  ASSIGN_OR_RETURN(names_, files_->List(directory_));
  std::erase_if(names_, [](const std::string& name) { return !IsSegmentName(name); });
  for (const std::string& name : names_) {
    uint64_t sequence = 0;
    if (absl::SimpleHexAtoi(name.substr(0, 16), &sequence)) next_sequence = sequence + 1;
  }
  RETURN_IF_ERROR(DropUnfinishedSegment());
  return DropObsoleteSegments();
}

// A segment's header is synced before its first batch: a last file without a header and with
// nothing behind it was just being made. It counts as not there.
absl::Status RaftLogRecovery::DropUnfinishedSegment() {
  if (names_.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(directory_, "/", names_.back());
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(path, false));
  ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(*file));
  if (DecodeHeader(bytes) || UsedBytes(bytes) > kSectorBytes || !unreadable_.empty()) {
    return absl::OkStatus();
  }
  obsolete_.push_back(names_.back());
  names_.pop_back();
  return absl::OkStatus();
}

// Where the log began anew, what came before no longer counts, whole or not.
absl::Status RaftLogRecovery::DropObsoleteSegments() {
  for (size_t i = names_.size(); i-- > 1;) {
    const std::string path = absl::StrCat(directory_, "/", names_[i]);
    ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(path, false));
    const absl::StatusOr<std::string> bytes = file->ReadAt(0, kSectorBytes);
    if (!bytes.ok()) continue;
    const std::optional<SegmentHeader> header = DecodeHeader(*bytes);
    if (!header || !header->begins_anew) continue;
    const auto first = names_.begin() + static_cast<ptrdiff_t>(i);
    obsolete_.insert(obsolete_.end(), names_.begin(), first);
    names_.erase(names_.begin(), first);
    break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RaftLogRecovery::ReadSegment(const std::string& name, bool is_last) {
  auto segment = std::make_shared<RaftLogSegment>();
  segment->path = absl::StrCat(directory_, "/", name);
  ASSIGN_OR_RETURN(segment->file, files_->Open(segment->path, false));
  ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(*segment->file));
  const std::optional<SegmentHeader> header = DecodeHeader(bytes);
  if (!header || absl::StrFormat("%016x%s", header->sequence, kSegmentSuffix) != name) {
    return Damaged(segment->path, 0, "the segment's header is wrong");
  }
  segment->sequence = header->sequence;
  segment->generation = header->generation;
  segment->end = kSectorBytes;
  if (map.segments().empty()) {
    next_batch = header->first_batch;
    segment->base = header->base;
    base_is_firm_ = header->begins_anew || header->base == LogPosition{};
  } else {
    const RaftLogSegment& before = *map.segments().back();
    if (header->sequence != before.sequence + 1) {
      return Damaged(segment->path, 0, "a segment before this one is missing");
    }
    if (header->first_batch != next_batch) {
      return Damaged(before.path, before.end,
                     absl::StrCat("batches ", next_batch, " to ", header->first_batch - 1,
                                  " are damaged or gone: the next segment begins behind them"));
    }
    if (header->base != map.last()) {
      return Damaged(segment->path, 0, "the segment does not follow the one before it");
    }
  }
  map.AddSegment(std::move(segment));
  ++names_read_;
  return ReadBatches(bytes, is_last);
}

bool RaftLogRecovery::ReadBatches(std::string_view bytes, bool is_last) {
  const RaftLogSegment& segment = *map.segments().back();
  while (segment.end < bytes.size()) {
    const std::optional<Batch> batch = DecodeBatch(segment.generation, bytes.substr(segment.end));
    if (!batch || batch->header.number != next_batch) {
      // In an older segment the next segment's first batch number tells whether one is missing.
      if (is_last) ReadEnd(bytes);
      return damage_.empty();
    }
    if (!ReadBatch(*batch, segment.end)) return false;
    ++next_batch;
  }
  return true;
}

bool RaftLogRecovery::ReadBatch(const Batch& batch, uint64_t offset) {
  const RaftLogSegment& segment = *map.segments().back();
  std::vector<EntryRef> entries;
  std::string_view records = batch.records;
  raft::Term term = batch.header.previous_term;
  for (uint32_t i = 0; i < batch.header.record_count; ++i) {
    EntryRef entry = DecodeRecord(segment.generation, &records);
    if (!entry) return Damaged(segment.path, offset, "a record is wrong in a batch that is right");
    if (entry->index == raft::Index{} || entry->term < term ||
        (i > 0 && entry->index != entries.back()->index + 1)) {
      return Damaged(segment.path, offset, "the entries of a batch do not follow each other");
    }
    term = entry->term;
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return Damaged(segment.path, offset, "a batch is empty");
  const LogPosition previous{batch.header.previous_term, entries.front()->index - 1};
  const bool below_base = previous.index < map.base().index;
  if (previous.index > map.last().index || (below_base && base_is_firm_) ||
      (!below_base && map.TermAt(previous.index) != previous.term)) {
    return Damaged(segment.path, offset,
                   absl::StrCat("entry ", entries.front()->index.value(), " does not follow entry ",
                                map.last().index.value()));
  }
  map.AddBatch(previous, entries, batch.header.padded_bytes());
  while (!tail.empty() && tail.back()->index > previous.index) tail.pop_back();
  while (!configurations.empty() && configurations.back().first > previous.index) {
    configurations.pop_back();
  }
  for (EntryRef& entry : entries) {
    if (entry->kind == raft::EntryKind::kConfiguration) {
      if (const auto command = raft::DecodeConfigurationCommand(entry->command)) {
        configurations.emplace_back(entry->index, command->configuration);
      }
    }
    if (entry->index > keep_after_) tail.push_back(std::move(entry));
  }
  return true;
}

// No batch that verifies begins at the end of the last segment. One fsync makes one batch durable
// before the next is written; so if a later batch is there, this one was acknowledged.
void RaftLogRecovery::ReadEnd(std::string_view bytes) {
  const RaftLogSegment& segment = *map.segments().back();
  const uint64_t offset = segment.end;
  torn_end_ = UsedBytes(bytes);
  for (const uint64_t sector : unreadable_) {
    if (sector < offset) continue;
    torn_end_ = std::max(torn_end_, sector + kSectorBytes);
    Damaged(segment.path, sector, "the disk does not give the sector back");
    return;
  }
  for (uint64_t at = offset + kSectorBytes; at < bytes.size(); at += kSectorBytes) {
    const std::optional<Batch> later = DecodeBatch(segment.generation, bytes.substr(at));
    if (later && later->header.number > next_batch) {
      Damaged(segment.path, offset,
              absl::StrCat("batch ", next_batch, " is damaged: batch ", later->header.number,
                           " follows it at offset ", at));
      return;
    }
  }
  if (torn_end_ <= offset || AlmostZero(bytes.substr(offset, kSectorBytes))) return;
  // Not even the first sector is there whole.
  if (bytes.size() - offset < kSectorBytes) return;
  const std::optional<BatchHeader> header =
      DecodeBatchHeader(segment.generation, bytes.substr(offset));
  if (header) {
    const std::string_view there = bytes.substr(offset, header->padded_bytes());
    // A full disk ends a write anywhere: a sector that is there in part is missing.
    const uint64_t missing =
        (header->padded_bytes() - there.size() + kSectorBytes - 1) / kSectorBytes;
    if (CountZeroSectors(there) + missing > header->zero_sectors) return;
  }
  Damaged(segment.path, offset,
          absl::StrCat("batch ", next_batch,
                       " is damaged: no sector of it is missing, but its bytes are wrong"));
}

absl::StatusOr<std::string> RaftLogRecovery::ReadWhole(const base::File& file) {
  unreadable_.clear();
  ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  absl::StatusOr<std::string> bytes = file.ReadAt(0, size);
  if (bytes.ok() && bytes->size() == size) return bytes;
  std::string pieces(size, '\0');
  for (uint64_t at = 0; at < size; at += kSectorBytes) {
    const size_t length = std::min<uint64_t>(kSectorBytes, size - at);
    const absl::StatusOr<std::string> piece = file.ReadAt(at, length);
    if (piece.ok() && piece->size() == length) {
      pieces.replace(at, length, *piece);
    } else {
      unreadable_.push_back(at);
    }
  }
  return pieces;
}

bool RaftLogRecovery::Damaged(const std::string& path, uint64_t offset, const std::string& what) {
  if (damage_.empty()) damage_ = absl::StrCat("raft log: ", path, ": offset ", offset, ": ", what);
  return false;
}

// A crash in the midst of it leaves something that Read finds again: later segments go from the
// last on, each for itself, and only then the bytes that tell why.
absl::Status RaftLogRecovery::Mend() {
  for (const std::string& name : obsolete_) {
    RETURN_IF_ERROR(files_->Remove(absl::StrCat(directory_, "/", name)));
    RETURN_IF_ERROR(files_->SyncDirectory(directory_));
  }
  if (!damage_.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> aside,
                     NamesForDamaged(1 + names_.size() - names_read_));
    if (!map.segments().empty()) {
      const absl::Status kept = KeepBytesAside(*map.segments().back(), aside[0]);
      LOG_IF(WARNING, !kept.ok()) << "damaged bytes of the log could not be kept: " << kept;
    }
    for (size_t i = names_.size(); i > names_read_; --i) {
      RETURN_IF_ERROR(
          files_->Rename(absl::StrCat(directory_, "/", names_[i - 1]), aside[i - names_read_]));
      RETURN_IF_ERROR(files_->SyncDirectory(directory_));
    }
  }
  if (map.segments().empty()) return absl::OkStatus();
  const RaftLogSegment& last = *map.segments().back();
  // A segment that was not the last is cut too, up to its end.
  ASSIGN_OR_RETURN(const uint64_t size, last.file->Size());
  uint64_t to = damage_.empty() ? torn_end_ : size;
  if (base::Planted("torn-tail-not-zeroed")) to = last.end;
  const std::string zeros(1 << 20, '\0');
  for (uint64_t at = last.end; at < to; at += zeros.size()) {
    const uint64_t length = std::min<uint64_t>(zeros.size(), to - at);
    RETURN_IF_ERROR(last.file->WriteAt(at, std::string_view(zeros).substr(0, length)));
  }
  // A process that was killed may have written what it did not sync: it is in the page cache
  // and was just read, so it must be made durable before anything builds on it.
  if (base::Planted("log-open-does-not-sync")) return absl::OkStatus();
  RETURN_IF_ERROR(last.file->Sync());
  return files_->SyncDirectory(directory_);
}

absl::Status RaftLogRecovery::KeepBytesAside(const RaftLogSegment& segment,
                                             const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(*segment.file));
  const uint64_t used = UsedBytes(bytes);
  if (used <= segment.end) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, files_->Open(path, true));
  const absl::Status written =
      file->WriteAt(0, std::string_view(bytes).substr(segment.end, used - segment.end));
  // On a full disk a piece of it is of no use and takes the room of others.
  if (!written.ok()) files_->Remove(path).IgnoreError();
  return written.ok() ? file->Sync() : written;
}

absl::StatusOr<std::vector<std::string>> RaftLogRecovery::NamesForDamaged(size_t count) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(directory_));
  std::vector<uint64_t> numbers;
  for (const std::string& name : names) {
    if (NumberOfDamaged(name) > 0) numbers.push_back(NumberOfDamaged(name));
  }
  std::sort(numbers.begin(), numbers.end());
  const uint64_t first = numbers.empty() ? 1 : numbers.back() + 1;
  for (size_t i = 0; i + kDamagedFilesMax < numbers.size() + count && i < numbers.size(); ++i) {
    RETURN_IF_ERROR(files_->Remove(absl::StrCat(directory_, "/", kDamagedPrefix, numbers[i])));
  }
  std::vector<std::string> paths;
  for (size_t i = 0; i < count; ++i) {
    paths.push_back(absl::StrCat(directory_, "/", kDamagedPrefix, first + i));
  }
  return paths;
}

}  // namespace store
