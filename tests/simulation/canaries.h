// SPDX-License-Identifier: Apache-2.0
//
// canaries.h: the bugs that can be planted (base/canary.h), each one that some Raft system has
// shipped. A simulator that does not find them proves nothing.

#pragma once

#include <span>
#include <string>

#include "tests/simulation/runner.h"

namespace simulation {

struct Canary {
  const char* name;
  // Where it stands in the catalogue of shipped bugs (raft-pitfalls), and what goes wrong.
  const char* row;
  const char* sentence;
};

std::span<const Canary> AllCanaries();
// Null if there is none of that name.
const Canary* FindCanary(const std::string& name);

// Plants the one of this name, all of them ("all") or those that are found soonest ("quick"), one
// after the other; looks for each in at most options.seeds seeds, and prints what the checkers
// said. Writes the table to the file, unless its name is empty. 0 if all were found.
int FindCanaries(const std::string& name, const RunnerOptions& options, const std::string& table);

}  // namespace simulation
