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
    {"older-term-persisted", "A3", "an older term is written than the one that was entered"},
    {"refusal-counts-as-vote", "A4", "a refused vote counts as one"},
    {"votes-for-everybody", "A4", "who has voted votes again for another"},
    {"pre-votes-kept", "A4", "the pre-votes are not forgotten before the votes are counted"},
    {"log-up-to-date-dropped", "A5", "a vote is granted whatever the candidate's log holds"},
    {"one-voter-not-asked", "A13", "one voter counts as if it held everything"},
    {"commit-older-term-by-counting", "B1", "an entry of an older term is committed by counting"},
    {"commit-from-heartbeat", "B2", "a heartbeat's commit index is believed beyond what matches"},
    {"commit-beyond-proven", "B2", "an append's commit index is believed beyond what it proved"},
    {"place-before-not-compared", "B3", "the term in front of an append is not compared"},
    {"append-always-cuts", "B3", "an append cuts the log behind itself though nothing differs"},
    {"conflicting-tail-kept", "B4",
     "an entry of another term is left where the leader's should be"},
    {"match-index-falls", "B5", "a late answer moves the match index back"},
    {"late-refusal-believed", "B5", "a late refusal of a place that is known to match is believed"},
    {"lost-append-not-sent-again", "B6", "an append that was lost is never sent again"},
    {"own-entry-counts-at-once", "B9", "the leader counts its own entry before its disk holds it"},
    {"read-not-confirmed", "E1", "a read is served without asking whether the leader still leads"},
    {"read-before-own-term", "E2",
     "a read index is given before an entry of the own term is committed"},
    {"any-answer-confirms", "E3", "an old answer to a heartbeat confirms a new read"},
    {"commit-from-read-index", "E5", "a read index moves a follower's commit index"},
    {"read-before-applied", "E7", "a read does not wait until its index is applied"},
    {"disk-error-ignored", "F1", "an error of the disk is ignored"},
    {"ack-before-fsync", "F2", "a follower acknowledges before its disk does"},
    {"torn-tail-not-zeroed", "F3",
     "what is left of an unfinished write stays behind the log's end"},
    {"log-open-does-not-sync", "F3", "what a killed process left in the page cache is built upon"},
    {"applied-index-late", "F6", "the applied index is not in the batch with what it covers"},
    {"tombstone-by-own-progress", "G1", "apply depends on how far this member has compacted"},
    {"replaced-version-not-kept", "G1", "a version that a compaction still needs is not kept"},
    {"txn-not-checked", "G2", "a Txn that fails midway leaves what it did before"},
    {"forward-taken-twice", "J1", "a forwarded write that comes twice is taken twice"},
    {"late-forward-refused", "J1", "a write that was taken is said to be dropped"},
    {"boots-not-counted", "J1", "the names of writes are given again after a restart"},
    {"damage-taken-for-torn", "F3", "a damaged log is cut as if it had never been acknowledged"},
    {"doubt-cleared-at-once", "F3", "a member that lost part of its log votes again too early"},
    {"snapshot-term-not-compared", "C2", "a log that differs at the snapshot's place is kept"},
    {"any-snapshot-taken", "C3", "a snapshot that is older than the state is installed"},
    {"applies-while-installing", "C4", "entries are applied while a state is being installed"},
    {"snapshot-says-more", "C5", "a snapshot is stamped with a later place than it holds"},
    {"snapshot-configuration-ignored", "C5", "the members that a snapshot tells are ignored"},
    {"change-before-own-term", "D1", "members change before the leader commits in its own term"},
    {"two-changes-at-once", "D3", "members change again before a change is committed"},
    {"cut-configuration-kept", "D2", "a change that was cut from the log stays in force"},
    {"removed-leader-stays", "D4", "a leader that was removed leads on"},
    {"wiped-member-is-its-old-self", "D6", "an empty data directory votes under its old name"},
    {"digests-not-compared", "G5", "a state that differs from a quorum's is not found out"},
    {"watch-event-dropped-at-switch", "watch", "an event is dropped at the switch to live"},
    {"watch-event-twice", "watch", "an event is sent twice at the switch to live"},
    {"watch-revision-split", "watch", "a revision is split over two responses"},
    {"watch-progress-ahead", "watch", "a progress notification is ahead of its events"},
    {"watch-previous-left-out", "watch", "the datum before an event is left out"},
    {"session-ignored", "B5", "what a member said before it was started anew still counts"},
};

// Of those that are found within a few seeds, for the test that runs at every change.
constexpr const char* kQuick[] = {"meta-not-synced", "ack-before-fsync", "one-voter-not-asked",
                                  "read-before-applied", "forward-taken-twice"};

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
