// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/runner.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "glog/logging.h"

namespace simulation {
namespace {

// What a child writes for each run that it ended.
struct Report {
  uint64_t seed;
  char violation[1024];
  uint64_t events, committed, acknowledged, reads, terms_led, trace_hash;
};

Report ReportOf(const RunOptions& options) {
  const RunResult result = Run(options);
  Report report{};
  report.seed = options.seed;
  std::snprintf(report.violation, sizeof report.violation, "%s", result.violation.c_str());
  report.events = result.events;
  report.committed = result.committed;
  report.acknowledged = result.acknowledged;
  report.reads = result.reads;
  report.terms_led = result.terms_led;
  report.trace_hash = result.trace_hash;
  return report;
}

// What a process that died printed last of all: the check that ended it.
std::string LastWords(int output) {
  std::string text(1 << 16, '\0');
  const off_t size = lseek(output, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
  const ssize_t got = pread(output, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  // glog: "F1122 18:00:00.000000  123 file.cc:12] text".
  size_t at = text.find("\nF");
  at = text.compare(0, 1, "F") == 0 ? 0 : (at == std::string::npos ? at : at + 1);
  if (at == std::string::npos) return "the process died without a word";
  const std::string line = text.substr(at, text.find('\n', at) - at);
  const size_t source = line.find_last_of(' ', line.find(".cc:"));
  return source == std::string::npos ? line : line.substr(source + 1);
}

struct Child {
  pid_t pid = 0;
  int reports = -1;
  int output = -1;
  uint64_t next_seed = 0;
};

// A child whose standard error goes to a file, and which calls `body` with the write end of its
// reports.
Child StartChild(const std::function<void(int)>& body) {
  Child child;
  int ends[2];
  PCHECK(pipe(ends) == 0);
  char path[] = "/tmp/simulation.XXXXXX";
  child.output = mkstemp(path);
  PCHECK(child.output >= 0);
  unlink(path);
  std::fflush(stdout);
  child.pid = fork();
  PCHECK(child.pid >= 0);
  if (child.pid > 0) {
    close(ends[1]);
    child.reports = ends[0];
    return child;
  }
  close(ends[0]);
  PCHECK(dup2(child.output, 2) == 2);
  body(ends[1]);
  _exit(0);
}

bool Next(const Child& child, Report* report) {
  return read(child.reports, report, sizeof *report) == sizeof *report;
}

// Empty if it ended well.
std::string Bury(const Child& child, bool verbose) {
  int status = 0;
  waitpid(child.pid, &status, 0);
  std::string words;
  if (status != 0) {
    words = LastWords(child.output);
    if (verbose) std::fprintf(stderr, "%s\n", words.c_str());
  }
  close(child.reports);
  close(child.output);
  return words.empty() ? words : "a check of the product: " + words;
}

}  // namespace

Failure RunSeeds(const RunnerOptions& options, Totals* totals) {
  const uint64_t end = options.first_seed + options.seeds;
  std::vector<Child> children;
  for (uint64_t job = 0; job < options.jobs; ++job) {
    children.push_back(StartChild([&](int reports) {
      for (uint64_t seed = options.first_seed + job; seed < end; seed += options.jobs) {
        RunOptions run;
        run.seed = seed;
        run.length = options.length;
        const Report report = ReportOf(run);
        PCHECK(write(reports, &report, sizeof report) == sizeof report);
        if (report.violation[0] != '\0') return;
      }
    }));
    children.back().next_seed = options.first_seed + job;
  }
  Failure failure;
  const auto note = [&failure](uint64_t seed, const std::string& what) {
    if (what.empty() || (failure.seed != 0 && failure.seed < seed)) return;
    failure = {seed, what};
  };
  for (Child& child : children) {
    Report report;
    while (Next(child, &report)) {
      ++totals->seeds;
      totals->events += report.events;
      totals->committed += report.committed;
      totals->acknowledged += report.acknowledged;
      totals->reads += report.reads;
      totals->terms_led += report.terms_led;
      totals->trace_hashes[report.seed] = report.trace_hash;
      child.next_seed = report.seed + options.jobs;
      note(report.seed, report.violation);
    }
    note(child.next_seed, Bury(child, options.verbose));
  }
  return failure;
}

std::string RunApart(const RunOptions& options) {
  const Child child = StartChild([&](int reports) {
    const Report report = ReportOf(options);
    PCHECK(write(reports, &report, sizeof report) == sizeof report);
  });
  Report report;
  const bool reported = Next(child, &report);
  const std::string died = Bury(child, false);
  return reported ? report.violation : died;
}

std::vector<Fault> ShrinkFaults(const RunOptions& options,
                                const std::function<void(const std::string&)>& progress) {
  const auto kind = [](const std::string& what) { return what.substr(0, what.find(':')); };
  std::vector<Fault> faults = options.faults ? *options.faults : FaultsOf(options);
  RunOptions run = options;
  run.timeline = nullptr;
  run.history = nullptr;
  const std::string sought = kind(RunApart(run));
  if (sought.empty()) return faults;
  for (size_t chunk = std::max<size_t>(1, faults.size() / 2); chunk > 0; chunk /= 2) {
    for (size_t at = 0; at < faults.size();) {
      std::vector<Fault> fewer = faults;
      const size_t count = std::min(chunk, fewer.size() - at);
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(at),
                  fewer.begin() + static_cast<ptrdiff_t>(at + count));
      run.faults = fewer;
      if (kind(RunApart(run)) == sought) {
        faults = std::move(fewer);
        progress(std::to_string(faults.size()) + " faults are enough");
      } else {
        at += count;
      }
    }
  }
  return faults;
}

}  // namespace simulation
