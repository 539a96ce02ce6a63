// SPDX-License-Identifier: Apache-2.0
//
// runner.h: runs seeds in child processes, so that a check in the product's own code, which ends
// a process, ends one run and is told like any other violation.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "tests/simulation/simulation.h"

namespace simulation {

struct Totals {
  uint64_t seeds = 0;
  uint64_t events = 0;
  uint64_t committed = 0;
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t terms_led = 0;
  std::map<uint64_t, uint64_t> trace_hashes;  // by seed
};

struct Failure {
  uint64_t seed = 0;  // 0: none
  std::string what;
};

struct RunnerOptions {
  uint64_t first_seed = 1;
  uint64_t seeds = 100;
  uint64_t jobs = 2;
  base::Duration length = std::chrono::seconds(60);
  // Whether what the product's own checks print goes to this process's standard error too.
  bool verbose = true;
};

// The failure with the lowest seed. Each child ends at its first.
Failure RunSeeds(const RunnerOptions& options, Totals* totals);

// One run in a child. Empty, or what is wrong.
std::string RunApart(const RunOptions& options);

// Leaves out of the faults of a run that fails what it fails without (delta debugging). Says how
// far it has come by `progress`.
std::vector<Fault> ShrinkFaults(const RunOptions& options,
                                const std::function<void(const std::string&)>& progress);

}  // namespace simulation
