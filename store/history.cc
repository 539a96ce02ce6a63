// SPDX-License-Identifier: Apache-2.0

#include "store/history.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/errors.h"

namespace store {

absl::StatusOr<bool> History::FindAt(Revision newest, int64_t at, OnDatum on_datum) const {
  Revision revision = newest;
  while (true) {
    Revision previous;
    bool creates = false;
    absl::Status decoded;
    ASSIGN_OR_RETURN(const bool found, records_->Get(Family::kRevision, RevisionKey(revision),
                                                     [&](std::string_view bytes) {
                                                       auto change = DecodeChange(bytes);
                                                       decoded = change.status();
                                                       if (!change.ok()) return;
                                                       previous = change->previous;
                                                       creates = change->creates();
                                                     }));
    if (!found) return Missing(revision, at);
    RETURN_IF_ERROR(decoded);
    if (previous.main == 0) return false;
    if (previous >= revision) {
      return absl::DataLossError(absl::StrCat("the change at revision ", revision.main,
                                              " names a later one as the one before it"));
    }
    if (previous.main <= at) {
      // Before a creation there was a delete.
      if (creates) return false;
      return ReadVersion(previous, revision, at, on_datum);
    }
    revision = previous;
  }
}

absl::StatusOr<bool> History::FindReplaced(const Change& change, Revision revision,
                                           OnDatum on_datum) const {
  if (change.previous.main == 0 || change.creates()) return false;
  return ReadVersion(change.previous, revision, revision.main - 1, on_datum);
}

absl::StatusOr<bool> History::ReadVersion(Revision wanted, Revision successor, int64_t at,
                                          OnDatum on_datum) const {
  absl::Status decoded;
  // `revision` first: what is missing there was copied into `kept` before it went.
  if (wanted.main >= dropped_to_->load(std::memory_order_acquire)) {
    ASSIGN_OR_RETURN(const bool found, records_->Get(Family::kRevision, RevisionKey(wanted),
                                                     [&](std::string_view bytes) {
                                                       auto change = DecodeChange(bytes);
                                                       decoded = change.status();
                                                       if (change.ok()) on_datum(change->datum);
                                                     }));
    RETURN_IF_ERROR(decoded);
    if (found) return true;
  }
  ASSIGN_OR_RETURN(const bool found, records_->Get(Family::kKept, RevisionKey(successor),
                                                   [&](std::string_view bytes) {
                                                     auto datum = DecodeDatum(bytes);
                                                     decoded = datum.status();
                                                     if (datum.ok()) on_datum(*datum);
                                                   }));
  RETURN_IF_ERROR(decoded);
  if (found) return true;
  return Missing(wanted, at);
}

absl::Status History::StillReadable(int64_t at) const {
  if (at < dropped_to_->load(std::memory_order_acquire)) return ErrorStatus(Error::kCompacted);
  return absl::OkStatus();
}

absl::Status History::Missing(Revision revision, int64_t at) const {
  RETURN_IF_ERROR(StillReadable(at));
  return absl::DataLossError(
      absl::StrCat("the change at revision ", revision.main, " is missing from the state"));
}

}  // namespace store
