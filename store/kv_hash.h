// SPDX-License-Identifier: Apache-2.0
//
// kv_hash.h: one number for what the store held at a revision.
//
// Made of the datums at that revision, in key order: so it depends on what was written and on
// nothing else; not on files, flushes or compactions.
// Threads: any. Takes as long as reading the whole store.

#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "store/key_space.h"

namespace store {

// `at` is from the compact revision up to the state's own. Errors: as KeySpace.
absl::StatusOr<uint32_t> HashKeySpace(const KeySpace& keys, int64_t at);

}  // namespace store
