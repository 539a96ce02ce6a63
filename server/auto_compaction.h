// SPDX-License-Identifier: Apache-2.0
//
// auto_compaction.h: which revision is to be compacted, and when, if nobody says so by hand
// (--auto-compaction-mode, --auto-compaction-retention).
//
// By revision: all but the newest so many, looked at each five minutes. Periodic: what was there
// one period ago, at first after a whole period, then each period or, if that is longer, each
// hour; as etcd does. Only the leader compacts; the others watch, so that a new leader goes on,
// also with what became due before it led.
// Threads: one.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/time.h"

namespace server {

struct AutoCompactionOptions {
  enum class Mode { kOff, kPeriodic, kRevision };
  Mode mode = Mode::kOff;
  base::Duration period{};
  int64_t revisions = 0;
};

// `mode` is "periodic", "revision" or empty (periodic); `retention` a duration such as 30m, or a
// plain number: hours, or revisions; 0 is off. Errors: InvalidArgument.
absl::StatusOr<AutoCompactionOptions> ParseAutoCompaction(std::string_view mode,
                                                          std::string_view retention);

class AutoCompaction {
 public:
  explicit AutoCompaction(const AutoCompactionOptions& options) : options_(options) {}

  // What to compact now, if anything. To be asked each few seconds.
  std::optional<int64_t> Look(base::TimePoint now, int64_t revision, int64_t compact_revision,
                              bool is_leader);

 private:
  struct Sample {
    base::TimePoint at;
    int64_t revision = 0;
  };

  std::optional<int64_t> LookByRevision(base::TimePoint now, int64_t revision);
  std::optional<int64_t> LookByPeriod(base::TimePoint now, int64_t revision);

  const AutoCompactionOptions options_;
  std::optional<base::TimePoint> due_;
  // Was due and is not compacted: by a leader that was lost, or was none at that moment.
  std::optional<int64_t> missed_;
  // Before that it is not asked for again.
  base::TimePoint again_ = base::TimePoint::min();
  // What the revision was; the oldest first, a period's worth.
  std::deque<Sample> samples_;
};

}  // namespace server
