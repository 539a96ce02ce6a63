// SPDX-License-Identifier: Apache-2.0

#include "store/compaction.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/applied_record.h"
#include "store/datum.h"

namespace store {

void Compaction::Request(int64_t compact_revision, int64_t compacted_at) {
  std::lock_guard<std::mutex> lock(mutex_);
  requested_ = Job{compact_revision, compacted_at, {compact_revision + 1, 0}, false};
}

absl::StatusOr<bool> Compaction::Step(size_t records_max) {
  if (!HasJob()) return false;
  if (!job_->scanned) {
    RETURN_IF_ERROR(Scan(records_max));
    return true;
  }
  // Who comes to hold after this look reads above what is dropped: no view made from now on has a
  // compact revision below the job's.
  if (holds_.load() > 0) return false;
  engine_->Flush();
  Drop();
  job_.reset();
  return HasJob();
}

bool Compaction::HasJob() {
  if (job_.has_value()) return true;
  std::lock_guard<std::mutex> lock(mutex_);
  job_ = std::exchange(requested_, std::nullopt);
  return job_.has_value();
}

absl::Status Compaction::Scan(size_t records_max) {
  const int64_t dropped_to = dropped_to_.load(std::memory_order_relaxed);
  std::vector<Replaced> replaced;
  const std::unique_ptr<Cursor> changes =
      engine_->NewCursor(Family::kRevision, RevisionKey({job_->compacted_at + 1, 0}));
  changes->Seek(RevisionKey(job_->next));
  size_t seen = 0;
  for (; changes->Valid() && seen < records_max; changes->Next(), ++seen) {
    if (changes->key().size() != kRevisionBytes) {
      return absl::DataLossError("a change's key has a wrong length");
    }
    const Revision revision = DecodeRevision(changes->key().data());
    ASSIGN_OR_RETURN(const Change change, DecodeChange(changes->value()));
    // Before a creation there was no datum; and what an earlier compaction passed is kept already.
    if (!change.creates() && change.previous.main <= job_->compact_revision &&
        change.previous.main > dropped_to) {
      replaced.push_back({change.previous, revision});
    }
    job_->next = {revision.main, revision.sub + 1};
  }
  RETURN_IF_ERROR(changes->status());
  job_->scanned = !changes->Valid();
  return Copy(replaced);
}

absl::Status Compaction::Copy(const std::vector<Replaced>& replaced) {
  std::vector<std::string> keys;
  std::vector<std::string> datums;
  for (const Replaced& pair : replaced) {
    std::string kept_key = RevisionKey(pair.successor);
    absl::Status decoded;
    const auto on_change = [&](std::string_view bytes) {
      auto change = DecodeChange(bytes);
      decoded = change.status();
      if (change.ok()) datums.emplace_back(DatumBytesOf(*change, bytes));
    };
    ASSIGN_OR_RETURN(const bool found,
                     engine_->Get(Family::kRevision, RevisionKey(pair.version), on_change));
    RETURN_IF_ERROR(decoded);
    if (found) {
      keys.push_back(std::move(kept_key));
      continue;
    }
    // An earlier life had dropped it, which it did not before the copy was flushed.
    ASSIGN_OR_RETURN(const bool kept,
                     engine_->Get(Family::kKept, kept_key, [](std::string_view) {}));
    if (!kept) {
      return absl::DataLossError(absl::StrCat("the version of revision ", pair.version.main,
                                              ", needed since the compaction to ",
                                              job_->compact_revision, ", is missing"));
    }
  }
  if (keys.empty()) return absl::OkStatus();
  std::vector<WriteOperation> operations;
  operations.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    operations.push_back({Family::kKept, false, keys[i], datums[i]});
  }
  engine_->Write(operations);
  return absl::OkStatus();
}

void Compaction::Drop() {
  const int64_t compact_revision = job_->compact_revision;
  dropped_to_.store(compact_revision, std::memory_order_release);
  const std::string at = RevisionKey({compact_revision, 0});
  const std::string above = RevisionKey({compact_revision + 1, 0});
  engine_->DropKeysBelow(Family::kRevision, at);
  engine_->DropKeysBelow(Family::kKept, above);
  engine_->DropValuesBelow(Family::kDeleted, above);
  std::string bytes;
  AppendFixed64(&bytes, static_cast<uint64_t>(compact_revision));
  const WriteOperation done{Family::kApplied, false, kDroppedToName, bytes};
  engine_->Write({&done, 1});
}

}  // namespace store
