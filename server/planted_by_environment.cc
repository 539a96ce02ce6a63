// SPDX-License-Identifier: Apache-2.0
//
// Only in the binary that tests run to see whether they find bugs.

#include <cstdlib>

#include "base/canary.h"

namespace {

const bool planted = [] {
  if (const char* name = std::getenv("DATUM_PLANTED")) base::PlantedCanary() = name;
  return true;
}();

}  // namespace
