// SPDX-License-Identifier: Apache-2.0
//
// simulation.h: one run: a cluster, its clients and its faults, all drawn from one seed.
//
// First a phase in which everything may go wrong and nothing may be lost; then all faults heal
// and within ten election timeouts the cluster must be whole again and serve.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/time.h"
#include "tests/simulation/faults.h"

namespace simulation {

struct RunOptions {
  uint64_t seed = 1;
  base::Duration length = std::chrono::seconds(60);
  // Instead of those that the seed draws.
  std::optional<std::vector<Fault>> faults;
  // Receives the timeline, a line an event worth telling.
  std::function<void(const std::string&)> timeline;
  // Receives the history for porcupine.
  std::ostream* history = nullptr;
};

struct RunResult {
  std::string violation;  // empty if none
  uint64_t hosts = 0;
  uint64_t events = 0;
  uint64_t committed = 0;
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t terms_led = 0;
  // Of everything that was sent and done, in order: equal for equal seeds.
  uint64_t trace_hash = 0;
};

RunResult Run(const RunOptions& options);

// The faults that the seed draws.
std::vector<Fault> FaultsOf(const RunOptions& options);

}  // namespace simulation
