// SPDX-License-Identifier: Apache-2.0
//
// key_space.h: the datums as they are, or were at a revision, in key order.

#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/datum.h"
#include "store/engine.h"
#include "store/history.h"
#include "store/keys.h"

namespace store {

// As `at`: the newest datums of the state read.
inline constexpr int64_t kNewest = 0;

// Called for one datum after the other; false ends the scan.
using VisitDatum = absl::FunctionRef<bool(std::string_view key, const Datum& datum)>;

// Threads: as the readers given.
// Errors: kCompacted and DataLoss as History; what the engine's reads return.
class KeySpace {
 public:
  // `state` reads `datum`, `deleted` and `presence`, all of one moment; it must outlive this.
  KeySpace(const Reader* state, History history) : state_(state), history_(history) {}

  // `at` is kNewest or a revision from the compact revision up to the state's own.
  absl::StatusOr<bool> Get(std::string_view key, int64_t at, OnDatum on_datum) const;
  absl::Status Scan(const KeyRange& range, int64_t at, VisitDatum visit) const;
  // The newest keys, without reading values. Requires: not a range of a single key.
  absl::Status ScanKeys(const KeyRange& range,
                        absl::FunctionRef<void(std::string_view key)> visit) const;
  // Reads no values if `at` is kNewest.
  absl::StatusOr<int64_t> Count(const KeyRange& range, int64_t at) const;

 private:
  absl::Status ScanNewest(const KeyRange& range, VisitDatum visit) const;
  absl::Status ScanPast(const KeyRange& range, int64_t at, VisitDatum visit) const;

  const Reader* const state_;
  const History history_;
};

}  // namespace store
