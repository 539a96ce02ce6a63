// SPDX-License-Identifier: Apache-2.0
//
// The simulator's command: many seeds, one seed with its timeline, or planted bugs.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/canary.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "tests/simulation/canaries.h"
#include "tests/simulation/runner.h"
#include "tests/simulation/simulation.h"

DEFINE_uint64(seeds, 100, "how many seeds to run");
DEFINE_uint64(first_seed, 1, "the first of them");
DEFINE_uint64(seed, 0, "run this one seed and print its timeline");
DEFINE_uint64(seconds, 60, "simulated seconds a run");
DEFINE_uint64(jobs, 2, "processes that run at once");
DEFINE_bool(twice, false, "run each seed twice, in two processes, and compare the traces");
DEFINE_string(only, "", "with --seed: only these of its faults, by number, as 3,17");
DEFINE_bool(shrink, false, "with --seed: find a small set of its faults that still fails");
DEFINE_string(history, "", "with --seed: write the clients' history to this file");
DEFINE_string(canary, "", "plant this bug, or 'all' one after the other; found is success");
DEFINE_string(table, "", "with --canary: write the table of what was found to this file");

namespace simulation {
namespace {

RunOptions OptionsOf(uint64_t seed) {
  RunOptions options;
  options.seed = seed;
  options.length = std::chrono::seconds(FLAGS_seconds);
  if (FLAGS_only.empty()) return options;
  const std::vector<Fault> all = FaultsOf(options);
  std::vector<Fault> some;
  std::istringstream numbers(FLAGS_only);
  for (std::string number; std::getline(numbers, number, ',');) {
    const size_t place = std::stoull(number);
    if (place >= 1 && place <= all.size()) some.push_back(all[place - 1]);
  }
  options.faults = some;
  return options;
}

RunnerOptions Seeds() {
  RunnerOptions options;
  options.first_seed = FLAGS_first_seed;
  options.seeds = FLAGS_seeds;
  options.jobs = FLAGS_jobs;
  options.length = std::chrono::seconds(FLAGS_seconds);
  return options;
}

int ShowSeed() {
  RunOptions options = OptionsOf(FLAGS_seed);
  options.timeline = [](const std::string& line) { std::cout << line << std::endl; };
  std::ofstream history;
  if (!FLAGS_history.empty()) {
    history.open(FLAGS_history);
    options.history = &history;
  }
  const RunResult result = Run(options);
  std::cout << "seed " << FLAGS_seed << ": " << result.hosts << " hosts, " << result.events
            << " events, " << result.committed << " entries committed, " << result.acknowledged
            << " writes acknowledged, " << result.reads << " reads, " << result.terms_led
            << " terms with a leader, trace " << std::hex << result.trace_hash << std::dec << "\n"
            << (result.violation.empty() ? "no violation" : "VIOLATION: " + result.violation)
            << std::endl;
  return result.violation.empty() ? 0 : 1;
}

int ShrinkSeed() {
  const RunOptions options = OptionsOf(FLAGS_seed);
  const std::vector<Fault> all = FaultsOf(options);
  const std::vector<Fault> few =
      ShrinkFaults(options, [](const std::string& line) { std::cerr << line << std::endl; });
  std::string numbers;
  for (const Fault& fault : few) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].seed != fault.seed) continue;
      numbers += (numbers.empty() ? "" : ",") + std::to_string(i + 1);
      std::printf("%3zu  %9.4f s  %s\n", i + 1, std::chrono::duration<double>(fault.at).count(),
                  Describe(fault).c_str());
    }
  }
  RunOptions run = options;
  run.faults = few;
  const std::string what = RunApart(run);
  const std::string planted = FLAGS_canary.empty() ? "" : " --canary " + FLAGS_canary;
  std::printf("%zu of %zu faults; %s\nreplay: tools/dev sim%s --seed %lu --only %s\n", few.size(),
              all.size(), what.empty() ? "no violation" : ("VIOLATION: " + what).c_str(),
              planted.c_str(), FLAGS_seed, numbers.c_str());
  return what.empty() ? 0 : 1;
}

int ShowSeeds() {
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  Failure failure = RunSeeds(Seeds(), &totals);
  if (failure.seed == 0 && FLAGS_twice) {
    Totals again;
    failure = RunSeeds(Seeds(), &again);
    for (const auto& [seed, hash] : again.trace_hashes) {
      if (failure.seed == 0 && totals.trace_hashes[seed] != hash) {
        failure = {seed, "determinism: the same seed twice gives two traces"};
      }
    }
    totals.seeds += again.seeds;
  }
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double hours = static_cast<double>(totals.seeds * FLAGS_seconds) / 3600;
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const double cpu = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                     static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  std::printf(
      "%lu runs of %lu s in %.1f s (%.1f cluster-hours a minute of one core): %lu events, "
      "%lu entries committed, %lu writes acknowledged, %lu reads, %lu terms with a leader\n",
      totals.seeds, FLAGS_seconds, elapsed, hours / cpu * 60, totals.events, totals.committed,
      totals.acknowledged, totals.reads, totals.terms_led);
  if (failure.seed == 0) {
    std::printf("no violation\n");
    return 0;
  }
  std::printf("VIOLATION in seed %lu: %s\nreplay: tools/dev sim --seed %lu\n", failure.seed,
              failure.what.c_str(), failure.seed);
  return 1;
}

int RunOne() {
  if (FLAGS_seed == 0) return ShowSeeds();
  return FLAGS_shrink ? ShrinkSeed() : ShowSeed();
}

#ifdef DATUM_CANARIES
int Main() {
  if (FLAGS_canary.empty()) return RunOne();
  if (FLAGS_canary != "all" && FLAGS_canary != "quick" && FindCanary(FLAGS_canary) == nullptr) {
    std::cerr << "--canary: no bug is called '" << FLAGS_canary << "'; there are:";
    for (const Canary& canary : AllCanaries()) std::cerr << " " << canary.name;
    std::cerr << std::endl;
    return 2;
  }
  if (FLAGS_seed == 0) return FindCanaries(FLAGS_canary, Seeds(), FLAGS_table);
  base::PlantedCanary() = FLAGS_canary;
  return RunOne();
}
#else
int Main() {
  if (FLAGS_canary.empty()) return RunOne();
  std::cerr << "this build has no canaries: run //tests/simulation:canaries" << std::endl;
  return 2;
}
#endif

}  // namespace
}  // namespace simulation

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::ERROR;
  gflags::SetUsageMessage("the simulator: --seeds N, or --seed N for a timeline");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  return simulation::Main();
}
