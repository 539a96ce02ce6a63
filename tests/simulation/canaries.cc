// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/canaries.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <vector>

#include "base/canary.h"
#include "glog/logging.h"

namespace simulation {
namespace {

constexpr Canary kCanaries[] = {
    {"vote-not-persisted", "A1", "a vote is not durable when it leaves"},
    {"meta-not-synced", "A1", "term and vote are written and not synced"},
    {"vote-erased-on-step-down", "A2", "a step-down within the term erases the vote"},
    {"log-up-to-date-dropped", "A5", "a vote is granted whatever the candidate's log holds"},
    {"commit-older-term-by-counting", "B1", "an entry of an older term is committed by counting"},
    {"commit-from-heartbeat", "B2", "a heartbeat's commit index is believed beyond what matches"},
    {"ack-before-fsync", "F2", "a follower acknowledges before its disk does"},
    {"disk-error-ignored", "F1", "an error of fsync is ignored"},
};

// Of those that are found within a few seeds, for the test that runs at every change.
constexpr const char* kQuick[] = {"vote-not-persisted", "ack-before-fsync",
                                  "commit-from-heartbeat"};

// Searched in steps, so that a bug that is found early ends the search.
constexpr uint64_t kStep = 32;

struct Found {
  const Canary* canary;
  Failure failure;
  uint64_t seeds = 0;
};

#ifdef DATUM_CANARIES
Found Find(const Canary& canary, const RunnerOptions& options) {
  base::PlantedCanary() = canary.name;
  Found found{&canary, {}, 0};
  Totals totals;
  RunnerOptions some = options;
  some.seeds = kStep;
  some.verbose = false;
  const uint64_t end = options.first_seed + options.seeds;
  while (some.first_seed < end && found.failure.seed == 0) {
    found.failure = RunSeeds(some, &totals);
    some.first_seed += kStep;
  }
  base::PlantedCanary().clear();
  if (found.failure.seed != 0) found.seeds = found.failure.seed - options.first_seed + 1;
  return found;
}
#else
Found Find(const Canary& canary, const RunnerOptions&) { return {&canary, {}, 0}; }
#endif

// What a table's cell can hold.
std::string Short(std::string text) {
  std::replace(text.begin(), text.end(), '|', '/');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.size() > 140 ? text.substr(0, 140) + " ..." : text;
}

void WriteTable(const std::vector<Found>& all, const std::string& path) {
  std::ofstream out(path);
  CHECK(out) << path;
  out << "| planted bug | catalogue | what it does | seeds | what the checker said |\n"
         "|---|---|---|---|---|\n";
  for (const Found& found : all) {
    out << "| " << found.canary->name << " | " << found.canary->row << " | "
        << found.canary->sentence << " | "
        << (found.seeds == 0 ? "not found" : std::to_string(found.seeds)) << " | "
        << Short(found.failure.what) << " |\n";
  }
}

bool Chosen(const Canary& canary, const std::string& name) {
  if (name == "all") return true;
  if (name != "quick") return name == canary.name;
  return std::any_of(std::begin(kQuick), std::end(kQuick),
                     [&](const char* quick) { return std::string(quick) == canary.name; });
}

}  // namespace

std::span<const Canary> AllCanaries() { return kCanaries; }

const Canary* FindCanary(const std::string& name) {
  for (const Canary& canary : kCanaries) {
    if (name == canary.name) return &canary;
  }
  return nullptr;
}

int FindCanaries(const std::string& name, const RunnerOptions& options, const std::string& table) {
  std::vector<Found> all;
  size_t missed = 0;
  for (const Canary& canary : kCanaries) {
    if (!Chosen(canary, name)) continue;
    const Found found = Find(canary, options);
    all.push_back(found);
    if (found.seeds == 0) ++missed;
    std::printf("%-34s %-4s %6s  %s\n", canary.name, canary.row,
                found.seeds == 0 ? "MISSED" : std::to_string(found.seeds).c_str(),
                Short(found.failure.what).c_str());
    std::fflush(stdout);
  }
  std::printf("%zu of %zu planted bugs found\n", all.size() - missed, all.size());
  if (!table.empty()) WriteTable(all, table);
  return missed == 0 ? 0 : 1;
}

}  // namespace simulation
