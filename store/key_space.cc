// SPDX-License-Identifier: Apache-2.0

#include "store/key_space.h"

#include <memory>
#include <optional>

#include "base/status.h"

namespace store {
namespace {

absl::StatusOr<Revision> DecodeTombstone(std::string_view bytes) {
  if (bytes.size() != kRevisionBytes) {
    return absl::DataLossError("a tombstone's record has a wrong length");
  }
  return DecodeRevision(bytes.data());
}

}  // namespace

absl::StatusOr<bool> KeySpace::Get(std::string_view key, int64_t at, OnDatum on_datum) const {
  absl::Status decoded;
  std::optional<Revision> changed_after;
  ASSIGN_OR_RETURN(bool found, state_->Get(Family::kDatum, key, [&](std::string_view bytes) {
    auto datum = DecodeDatum(bytes);
    decoded = datum.status();
    if (!datum.ok()) return;
    if (at == kNewest || datum->mod_revision.main <= at) {
      on_datum(*datum);
    } else {
      changed_after = datum->mod_revision;
    }
  }));
  RETURN_IF_ERROR(decoded);
  if (at == kNewest) return found;
  if (found) {
    if (!changed_after.has_value()) return true;
    return history_.FindAt(*changed_after, at, on_datum);
  }
  Revision deleted_at;
  ASSIGN_OR_RETURN(found, state_->Get(Family::kDeleted, key, [&](std::string_view bytes) {
    auto tombstone = DecodeTombstone(bytes);
    decoded = tombstone.status();
    if (tombstone.ok()) deleted_at = *tombstone;
  }));
  RETURN_IF_ERROR(decoded);
  RETURN_IF_ERROR(history_.StillReadable(at));
  if (!found || deleted_at.main <= at) return false;
  return history_.FindAt(deleted_at, at, on_datum);
}

absl::Status KeySpace::Scan(const KeyRange& range, int64_t at, VisitDatum visit) const {
  if (range.single) {
    return Get(range.begin, at, [&](const Datum& datum) { visit(range.begin, datum); }).status();
  }
  if (range.empty()) return absl::OkStatus();
  return at == kNewest ? ScanNewest(range, visit) : ScanPast(range, at, visit);
}

absl::Status KeySpace::ScanNewest(const KeyRange& range, VisitDatum visit) const {
  const std::unique_ptr<Cursor> live = state_->NewCursor(Family::kDatum, range.end);
  for (live->Seek(range.begin); live->Valid(); live->Next()) {
    ASSIGN_OR_RETURN(const Datum datum, DecodeDatum(live->value()));
    if (!visit(live->key(), datum)) return absl::OkStatus();
  }
  return live->status();
}

absl::Status KeySpace::ScanPast(const KeyRange& range, int64_t at, VisitDatum visit) const {
  const std::unique_ptr<Cursor> live = state_->NewCursor(Family::kDatum, range.end);
  const std::unique_ptr<Cursor> deleted = state_->NewCursor(Family::kDeleted, range.end);
  live->Seek(range.begin);
  deleted->Seek(range.begin);
  bool go_on = true;
  while (go_on && (live->Valid() || deleted->Valid())) {
    const int order = !deleted->Valid() ? -1
                      : !live->Valid()  ? 1
                                        : live->key().compare(deleted->key());
    if (order > 0) {
      ASSIGN_OR_RETURN(const Revision tombstone, DecodeTombstone(deleted->value()));
      if (tombstone.main > at) {
        const auto on_datum = [&](const Datum& datum) { go_on = visit(deleted->key(), datum); };
        RETURN_IF_ERROR(history_.FindAt(tombstone, at, on_datum).status());
      }
      deleted->Next();
      continue;
    }
    // A tombstone beside a datum is one that a compaction dropped and RocksDB still shows.
    if (order == 0) deleted->Next();
    ASSIGN_OR_RETURN(const Datum datum, DecodeDatum(live->value()));
    if (datum.mod_revision.main <= at) {
      go_on = visit(live->key(), datum);
    } else {
      const auto on_datum = [&](const Datum& past) { go_on = visit(live->key(), past); };
      RETURN_IF_ERROR(history_.FindAt(datum.mod_revision, at, on_datum).status());
    }
    live->Next();
  }
  RETURN_IF_ERROR(live->status());
  RETURN_IF_ERROR(deleted->status());
  return history_.StillReadable(at);
}

absl::Status KeySpace::ScanKeys(const KeyRange& range,
                                absl::FunctionRef<void(std::string_view key)> visit) const {
  if (range.empty()) return absl::OkStatus();
  const std::unique_ptr<Cursor> present = state_->NewCursor(Family::kPresence, range.end);
  for (present->Seek(range.begin); present->Valid(); present->Next()) visit(present->key());
  return present->status();
}

absl::StatusOr<int64_t> KeySpace::Count(const KeyRange& range, int64_t at) const {
  int64_t count = 0;
  if (at == kNewest && !range.single) {
    RETURN_IF_ERROR(ScanKeys(range, [&](std::string_view) { ++count; }));
    return count;
  }
  RETURN_IF_ERROR(Scan(range, at, [&](std::string_view, const Datum&) {
    ++count;
    return true;
  }));
  return count;
}

}  // namespace store
