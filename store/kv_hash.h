// SPDX-License-Identifier: Apache-2.0
//
// kv_hash.h: one number for what the store holds, and held, up to a revision.
//
// Made of the datums at that revision and of every change since the compact revision, in order: so
// it depends on what was written and compacted, and on nothing else; not on files, flushes, or how
// far a compaction's background work has come.
// Threads: any. Takes as long as reading the whole store.

#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "store/engine.h"
#include "store/key_space.h"

namespace store {

// `at` is from `compact_revision` up to the readers' own revision. `changes` reads `revision`.
// Errors: as KeySpace.
absl::StatusOr<uint32_t> HashKeySpace(const KeySpace& keys, const Reader& changes,
                                      int64_t compact_revision, int64_t at);

}  // namespace store
