// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace client {
namespace {

// Of a bar on a terminal, and of lines elsewhere.
constexpr uint64_t kColumns = 40;
constexpr uint64_t kLines = 10;
// Without a total: counts between two drawings.
constexpr uint64_t kCounts = 10000;

}  // namespace

ProgressBar::ProgressBar(std::string label, uint64_t total, bool terminal, std::ostream* out,
                         std::function<std::string(uint64_t)> show)
    : label_(std::move(label)),
      total_(total),
      terminal_(terminal),
      out_(*out),
      show_(std::move(show)) {}

void ProgressBar::Update(uint64_t done) {
  done_ = done;
  // A hundredth moves the percentage on a terminal.
  const uint64_t steps = terminal_ ? 100 : kLines;
  const double part = total_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total_);
  const int64_t step = total_ == 0 ? static_cast<int64_t>(done / kCounts)
                                   : static_cast<int64_t>(part * static_cast<double>(steps));
  if (step == step_) return;
  step_ = step;
  Draw();
}

void ProgressBar::Draw() {
  std::string line = label_;
  if (total_ == 0) {
    absl::StrAppend(&line, " ", show_(done_));
  } else {
    const double part = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (terminal_) {
      const auto filled = static_cast<size_t>(part * kColumns);
      absl::StrAppend(&line, " [", std::string(filled, '='), std::string(kColumns - filled, ' '),
                      "]");
    }
    absl::StrAppend(&line, absl::StrFormat(" %3d%% ", static_cast<int>(part * 100)), show_(done_),
                    " of ", show_(total_));
  }
  if (terminal_) {
    // ESC [K takes away what a longer line left.
    out_ << "\r" << line << "\x1b[K" << std::flush;
  } else {
    out_ << line << std::endl;
  }
}

void ProgressBar::Finish() {
  if (!terminal_) return;
  Draw();
  out_ << std::endl;
}

}  // namespace client
