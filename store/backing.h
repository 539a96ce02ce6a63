// SPDX-License-Identifier: Apache-2.0
//
// backing.h: what a state is kept in; an install replaces it whole.
//
// Whoever reads or works in the background holds on to the one it began with.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "store/compaction.h"
#include "store/datum_cache.h"
#include "store/engine.h"

namespace store {

// Threads: as its parts.
struct Backing {
  Backing(std::unique_ptr<Engine> state, size_t cache_bytes, int64_t dropped_to)
      : engine(std::move(state)), cache(cache_bytes), compaction(engine.get(), dropped_to) {}

  const std::unique_ptr<Engine> engine;
  DatumCache cache;
  Compaction compaction;
};

}  // namespace store
