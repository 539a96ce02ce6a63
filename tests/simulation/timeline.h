// SPDX-License-Identifier: Apache-2.0
//
// timeline.h: everything that a run says and sends, as a hash, and as lines for whoever looks.

#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "base/crc32c.h"
#include "tests/simulation/world.h"

namespace simulation {

class Timeline {
 public:
  using OnLine = std::function<void(const std::string&)>;

  Timeline(const World* world, OnLine on_line)
      : world_(world), begin_(world->now()), on_line_(std::move(on_line)) {}

  // One line an event worth telling.
  void Tell(const std::string& line) {
    Mix(line);
    if (!on_line_) return;
    char time[32];
    std::snprintf(time, sizeof time, "%10.4f s  ",
                  std::chrono::duration<double>(world_->now() - begin_).count());
    on_line_(time + line);
  }

  void Mix(std::string_view bytes) {
    hash_ = base::Crc32c(bytes, static_cast<uint32_t>(hash_)) + (hash_ << 7);
  }

  // Equal for equal runs.
  uint64_t hash() const { return hash_; }

 private:
  const World* const world_;
  const base::TimePoint begin_;
  const OnLine on_line_;
  uint64_t hash_ = 0;
};

}  // namespace simulation
