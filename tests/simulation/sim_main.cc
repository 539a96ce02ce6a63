// SPDX-License-Identifier: Apache-2.0
//
// The simulator's command: many seeds in child processes, or one seed with its timeline.
//
// A child reports each seed that it ends; one that dies (a CHECK in the product's own code) names
// the seed by the one that is missing.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "base/canary.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "tests/simulation/simulation.h"

DEFINE_uint64(seeds, 100, "how many seeds to run");
DEFINE_uint64(first_seed, 1, "the first of them");
DEFINE_uint64(seed, 0, "run this one seed and print its timeline");
DEFINE_uint64(seconds, 60, "simulated seconds a run");
DEFINE_uint64(jobs, 2, "processes that run at once");
DEFINE_bool(twice, false, "run each seed twice and compare the traces");
DEFINE_string(canary, "", "plant this bug, or 'all' one after the other; found is success");
DEFINE_bool(verbose, false, "keep what the product's own checks print when a canary is found");

namespace simulation {
namespace {

#ifdef DATUM_CANARIES
const char* const kCanaries[] = {"vote-not-persisted", "commit-older-term-by-counting",
                                 "ack-before-fsync", "log-up-to-date-dropped",
                                 "commit-from-heartbeat"};
#endif

struct Totals {
  uint64_t seeds = 0;
  uint64_t events = 0;
  uint64_t committed = 0;
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t terms_led = 0;
};

// 3 and 5 members in turn, and now and then 1.
size_t VotersOf(uint64_t seed) {
  if (seed % 20 == 0) return 1;
  return seed % 2 == 0 ? 5 : 3;
}

RunOptions OptionsOf(uint64_t seed) {
  RunOptions options;
  options.seed = seed;
  options.voters = VotersOf(seed);
  options.length = std::chrono::seconds(FLAGS_seconds);
  return options;
}

// What a child writes for each seed that it ended.
struct Report {
  uint64_t seed;
  RunResult result() const {
    return {violation, events, committed, acknowledged, reads, terms_led, 0};
  }
  char violation[256];
  uint64_t events, committed, acknowledged, reads, terms_led;
};

Report RunSeed(uint64_t seed) {
  RunResult result = Run(OptionsOf(seed));
  if (FLAGS_twice && result.violation.empty()) {
    if (Run(OptionsOf(seed)).trace_hash != result.trace_hash) {
      result.violation = "determinism: the same seed twice gives two traces";
    }
  }
  Report report{};
  report.seed = seed;
  std::snprintf(report.violation, sizeof report.violation, "%s", result.violation.c_str());
  report.events = result.events;
  report.committed = result.committed;
  report.acknowledged = result.acknowledged;
  report.reads = result.reads;
  report.terms_led = result.terms_led;
  return report;
}

// Runs seeds first, first + step, ... in a child; returns the read end of its reports.
int StartChild(uint64_t first, uint64_t step, uint64_t end, bool quiet, pid_t* child) {
  int ends[2];
  PCHECK(pipe(ends) == 0);
  *child = fork();
  PCHECK(*child >= 0);
  if (*child > 0) {
    close(ends[1]);
    return ends[0];
  }
  close(ends[0]);
  if (quiet) {
    PCHECK(freopen("/dev/null", "w", stderr) != nullptr);
  }
  for (uint64_t seed = first; seed < end; seed += step) {
    const Report report = RunSeed(seed);
    PCHECK(write(ends[1], &report, sizeof report) == sizeof report);
    if (report.violation[0] != '\0') break;
  }
  _exit(0);
}

struct Failure {
  uint64_t seed = 0;  // 0: none
  std::string what;
};

Failure RunMany(uint64_t first, uint64_t count, uint64_t jobs, bool quiet, Totals* totals) {
  struct Child {
    pid_t pid;
    int reports;
    uint64_t next_seed;
  };
  std::vector<Child> children;
  for (uint64_t job = 0; job < jobs; ++job) {
    Child child{0, 0, first + job};
    child.reports = StartChild(first + job, jobs, first + count, quiet, &child.pid);
    children.push_back(child);
  }
  Failure failure;
  for (Child& child : children) {
    Report report;
    while (read(child.reports, &report, sizeof report) == sizeof report) {
      ++totals->seeds;
      totals->events += report.events;
      totals->committed += report.committed;
      totals->acknowledged += report.acknowledged;
      totals->reads += report.reads;
      totals->terms_led += report.terms_led;
      child.next_seed = report.seed + jobs;
      if (report.violation[0] != '\0' && (failure.seed == 0 || report.seed < failure.seed)) {
        failure = {report.seed, report.violation};
      }
    }
    int status = 0;
    waitpid(child.pid, &status, 0);
    close(child.reports);
    if (status != 0 && (failure.seed == 0 || child.next_seed < failure.seed)) {
      failure = {child.next_seed, "a check in the product's own code ended the process"};
    }
  }
  return failure;
}

int RunOneSeed() {
  RunOptions options = OptionsOf(FLAGS_seed);
  options.timeline = [](const std::string& line) { std::cout << line << std::endl; };
  const RunResult result = Run(options);
  std::cout << "seed " << FLAGS_seed << ": " << options.voters << " members, " << result.events
            << " events, " << result.committed << " entries committed, " << result.acknowledged
            << " writes acknowledged, " << result.reads << " reads, " << result.terms_led
            << " terms with a leader, trace " << std::hex << result.trace_hash << std::dec << "\n"
            << (result.violation.empty() ? "no violation" : "VIOLATION: " + result.violation)
            << std::endl;
  return result.violation.empty() ? 0 : 1;
}

int RunSeeds() {
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  const Failure failure = RunMany(FLAGS_first_seed, FLAGS_seeds, FLAGS_jobs, false, &totals);
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double hours = static_cast<double>(totals.seeds * FLAGS_seconds) / 3600;
  std::printf(
      "%lu seeds of %lu s in %.1f s (%.1f cluster-hours a minute and core): %lu events, "
      "%lu entries committed, %lu writes acknowledged, %lu reads, %lu terms with a leader\n",
      totals.seeds, FLAGS_seconds, elapsed, hours / elapsed * 60 / static_cast<double>(FLAGS_jobs),
      totals.events, totals.committed, totals.acknowledged, totals.reads, totals.terms_led);
  if (failure.seed == 0) {
    std::printf("no violation\n");
    return 0;
  }
  std::printf("VIOLATION in seed %lu: %s\nreplay: tools/dev sim --seed %lu\n", failure.seed,
              failure.what.c_str(), failure.seed);
  return 1;
}

#ifdef DATUM_CANARIES
bool KnownCanary(const std::string& name) {
  if (name.empty() || (name == "all" && FLAGS_seed == 0)) return true;
  return std::find(std::begin(kCanaries), std::end(kCanaries), name) != std::end(kCanaries);
}

int RunCanaries() {
  int missed = 0;
  for (const char* canary : kCanaries) {
    if (FLAGS_canary != "all" && FLAGS_canary != canary) continue;
    base::PlantedCanary() = canary;
    Totals totals;
    Failure failure;
    uint64_t first = FLAGS_first_seed;
    // In steps, so that a bug that is found early ends the search.
    constexpr uint64_t kStep = 16;
    for (; first < FLAGS_first_seed + FLAGS_seeds && failure.seed == 0; first += kStep) {
      failure = RunMany(first, kStep, FLAGS_jobs, !FLAGS_verbose, &totals);
    }
    if (failure.seed == 0) ++missed;
    std::printf("%-32s %s", canary, failure.seed == 0 ? "NOT FOUND" : "found");
    if (failure.seed != 0) {
      std::printf(" after %lu seeds: %s", failure.seed - FLAGS_first_seed + 1,
                  failure.what.c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
}
#endif

}  // namespace
}  // namespace simulation

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  gflags::SetUsageMessage("the simulator: --seeds N, or --seed N for a timeline");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
#ifdef DATUM_CANARIES
  if (!simulation::KnownCanary(FLAGS_canary)) {
    std::cerr << "--canary: no bug is called '" << FLAGS_canary << "'; there are:";
    for (const char* known : simulation::kCanaries) std::cerr << " " << known;
    std::cerr << std::endl;
    return 2;
  }
  if (!FLAGS_canary.empty() && FLAGS_seed == 0) return simulation::RunCanaries();
  if (FLAGS_seed != 0) base::PlantedCanary() = FLAGS_canary;
#else
  if (!FLAGS_canary.empty()) {
    std::cerr << "this build has no canaries: run //tests/simulation:canaries" << std::endl;
    return 2;
  }
#endif
  return FLAGS_seed != 0 ? simulation::RunOneSeed() : simulation::RunSeeds();
}
