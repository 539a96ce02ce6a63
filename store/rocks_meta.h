// SPDX-License-Identifier: Apache-2.0
//
// rocks_meta.h: meta/ as its own RocksDB: WAL on, every write synced, no atomic_flush
// (reference/rocksdb-rules.md, rule 4).

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "store/meta_store.h"

namespace store {

// Opens or makes the store in `directory`.
// Errors: Internal or DataLoss with RocksDB's own words and the directory.
absl::StatusOr<std::unique_ptr<MetaStore>> OpenRocksMeta(const std::string& directory);

}  // namespace store
