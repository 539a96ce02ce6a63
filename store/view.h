// SPDX-License-Identifier: Apache-2.0
//
// view.h: the state as it was after one batch, shared by all reads that began since.

#pragma once

#include <memory>

#include "store/applied_record.h"
#include "store/backing.h"
#include "store/engine.h"

namespace store {

// Immutable. Threads: any.
struct View {
  // Outlives the reader.
  std::shared_ptr<Backing> backing;
  std::shared_ptr<const Reader> reader;
  // Exactly the reader's.
  AppliedRecord numbers;
};

}  // namespace store
