// SPDX-License-Identifier: Apache-2.0

#include "server/auto_compaction.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace server {
namespace {

using Mode = AutoCompactionOptions::Mode;

constexpr base::Duration kRevisionInterval = std::chrono::minutes(5);
constexpr base::Duration kIntervalMax = std::chrono::hours(1);
// One that comes to nothing, as it does while a CORRUPT alarm stands, is tried again so soon.
constexpr base::Duration kRetryPause = std::chrono::seconds(30);
// How often a period is sampled.
constexpr int kSamples = 10;

}  // namespace

absl::StatusOr<AutoCompactionOptions> ParseAutoCompaction(std::string_view mode,
                                                          std::string_view retention) {
  AutoCompactionOptions options;
  const std::string text(retention);
  int64_t number = 0;
  const bool plain = absl::SimpleAtoi(text, &number);
  if (mode == "revision") {
    if (!text.empty() && (!plain || number < 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "' is not a number of revisions, such as 1000"));
    }
    options.revisions = number;
    options.mode = number > 0 ? Mode::kRevision : Mode::kOff;
    return options;
  }
  if (!mode.empty() && mode != "periodic") {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(mode), "' is neither 'periodic' nor 'revision'"));
  }
  absl::Duration period = absl::Hours(number);
  if (!plain && !text.empty() && !absl::ParseDuration(text, &period)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is neither a duration, such as 30m, nor a number of hours"));
  }
  if (period < absl::ZeroDuration() || period > absl::Hours(24 * 365)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not from 0 to a year"));
  }
  options.period = absl::ToChronoNanoseconds(period);
  options.mode = options.period > base::Duration::zero() ? Mode::kPeriodic : Mode::kOff;
  return options;
}

std::optional<int64_t> AutoCompaction::Look(base::TimePoint now, int64_t revision,
                                            int64_t compact_revision, bool is_leader) {
  std::optional<int64_t> wanted;
  switch (options_.mode) {
    case Mode::kOff:
      return std::nullopt;
    case Mode::kRevision:
      wanted = LookByRevision(now, revision);
      break;
    case Mode::kPeriodic:
      wanted = LookByPeriod(now, revision);
      break;
  }
  if (wanted.has_value()) missed_ = wanted;
  if (missed_.has_value() && *missed_ <= std::max<int64_t>(compact_revision, 0)) missed_.reset();
  if (!is_leader || !missed_.has_value() || now < again_) return std::nullopt;
  again_ = now + kRetryPause;
  return missed_;
}

std::optional<int64_t> AutoCompaction::LookByRevision(base::TimePoint now, int64_t revision) {
  if (!due_.has_value()) due_ = now + kRevisionInterval;
  if (now < *due_) return std::nullopt;
  due_ = now + kRevisionInterval;
  return revision - options_.revisions;
}

std::optional<int64_t> AutoCompaction::LookByPeriod(base::TimePoint now, int64_t revision) {
  if (samples_.empty() || now - samples_.back().at >= options_.period / kSamples) {
    samples_.push_back({now, revision});
  }
  if (!due_.has_value()) due_ = now + options_.period;
  if (now < *due_) return std::nullopt;
  due_ = now + std::min(options_.period, kIntervalMax);
  std::optional<int64_t> wanted;
  // The newest of those that are a period old.
  while (!samples_.empty() && now - samples_.front().at >= options_.period) {
    wanted = samples_.front().revision;
    samples_.pop_front();
  }
  return wanted;
}

}  // namespace server
