// SPDX-License-Identifier: Apache-2.0
//
// datumctl_progress.h: how far a long command has come, on stderr: a bar that grows in its line on
// a terminal, else a line for every tenth.
//
// Threads: one.

#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

namespace client {

class ProgressBar {
 public:
  // `total` 0: it is not known, and only the count is shown. `show` writes a number, 20 kB say.
  ProgressBar(std::string label, uint64_t total, bool terminal, std::ostream* out,
              std::function<std::string(uint64_t)> show);

  // Nothing is written if it would show the same as before.
  void Update(uint64_t done);
  // The last line stays.
  void Finish();

 private:
  void Draw();

  const std::string label_;
  const uint64_t total_;
  const bool terminal_;
  std::ostream& out_;
  const std::function<std::string(uint64_t)> show_;
  uint64_t done_ = 0;
  // What was drawn last, in steps of the bar; nothing yet.
  int64_t step_ = -1;
};

}  // namespace client
