// SPDX-License-Identifier: Apache-2.0
//
// compaction.h: what a compaction leaves to do in the background, in steps of any size and pace.
//
// Compacted to C at revision A, in three stages:
//   1. scan `revision` above C up to A; a version at or below C that was replaced there is copied
//      into `kept` under its successor (changes after A do that themselves, see change_writer.h);
//   2. flush: now C, and all that a replay after a crash could ask for, survive a crash;
//   3. drop `revision` below C, `kept` up to C and tombstones up to C. The changes at C itself
//      stay for watchers that start at the compact revision.
// A crash repeats what was not flushed: each copy is the same bytes under the same key.
// Nothing here may change a result of apply or of a read.
//
// A snapshot that is under way holds stage 3 up (Hold), so that what it reads stays.
//
// Threads: Hold and Release from any; Request from the apply thread, Step from one background
// thread, dropped_to from any. Errors:  what the engine's reads return; DataLoss if a version is in
// neither place.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/engine.h"
#include "store/keys.h"

namespace store {

class Compaction {
 public:
  // `engine` must outlive this. `dropped_to` is what an earlier life stored, or kNeverCompacted.
  Compaction(Engine* engine, int64_t dropped_to) : engine_(engine), dropped_to_(dropped_to) {}

  // The store was compacted to `compact_revision` when it stood at `compacted_at`.
  // Requires: that is written to the engine.
  void Request(int64_t compact_revision, int64_t compacted_at);

  // Looks at up to `records_max` changes, or does a later stage. True if there is more to do.
  absl::StatusOr<bool> Step(size_t records_max);

  // Until as many Releases nothing is dropped that a view made behind it reads at or above its own
  // compact revision.
  void Hold() { holds_.fetch_add(1); }
  void Release() { holds_.fetch_sub(1); }

  // Changes below it may be gone. Grows before they go.
  const std::atomic<int64_t>* dropped_to() const { return &dropped_to_; }

 private:
  struct Job {
    int64_t compact_revision = 0;
    int64_t compacted_at = 0;
    // The next change to look at.
    Revision next;
    bool scanned = false;
  };
  // A version to be copied, named by the change that replaced it.
  struct Replaced {
    Revision version;
    Revision successor;
  };

  // Takes up what was requested last, once nothing else is under way. False if nothing is to do.
  bool HasJob();
  absl::Status Scan(size_t records_max);
  absl::Status Copy(const std::vector<Replaced>& replaced);
  void Drop();

  Engine* const engine_;
  std::atomic<int64_t> dropped_to_;
  std::atomic<int> holds_{0};
  // Of the background thread. A newer request waits until the job is done: each is sound alone.
  std::optional<Job> job_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::optional<Job> requested_;
};

}  // namespace store
