// SPDX-License-Identifier: Apache-2.0
//
// history.h: what a key was, by walking back along "the version before".
//
// Records of changes are written once under keys that never come again, so they are read from the
// newest state, never from a view: what a compaction copies into `kept` before it drops the
// original would be missing in a view that is older than the copy.

#pragma once

#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/datum.h"
#include "store/engine.h"

namespace store {

// The datum's value lives as long as the call.
using OnDatum = absl::FunctionRef<void(const Datum&)>;

// Threads: any.
class History {
 public:
  // `records` reads `revision` and `kept`. Below `*dropped_to` changes may be gone; it grows
  // before they go.
  History(const Reader* records, const std::atomic<int64_t>* dropped_to)
      : records_(records), dropped_to_(dropped_to) {}

  // Calls `on_datum` and returns true if the key that was changed at `newest` had a datum at
  // revision `at`.
  // Requires: newest.main > at, `newest` is a change of the key and at least the compact revision.
  // Errors: kCompacted if a compaction above `at` took it away meanwhile; DataLoss if the records
  //         do not hang together.
  absl::StatusOr<bool> FindAt(Revision newest, int64_t at, OnDatum on_datum) const;

  // Calls `on_datum` with the datum that `change`, made at `revision`, replaced or deleted, and
  // returns true if there was one.
  // Requires, errors: as above, with the revision before `revision` for `at`.
  absl::StatusOr<bool> FindReplaced(const Change& change, Revision revision,
                                    OnDatum on_datum) const;

  // kCompacted if what `at` needs may have gone while it was read. Asked at the end of a read in
  // the past: a tombstone that is dropped leaves an absence behind, and no record that is missing.
  absl::Status StillReadable(int64_t at) const;

 private:
  // The version `wanted`, which `successor` replaced.
  absl::StatusOr<bool> ReadVersion(Revision wanted, Revision successor, int64_t at,
                                   OnDatum on_datum) const;
  absl::Status Missing(Revision revision, int64_t at) const;

  const Reader* const records_;
  const std::atomic<int64_t>* const dropped_to_;
};

}  // namespace store
