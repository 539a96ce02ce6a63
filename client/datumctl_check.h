// SPDX-License-Identifier: Apache-2.0
//
// datumctl_check.h: what check perf has measured, and etcdctl's verdict on it.
//
// Threads: one.

#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace client {

struct Samples {
  // Of each write that was done.
  std::vector<double> seconds;
  // How often each error came.
  std::map<std::string, int64_t> errors;
  absl::Duration took;
};

// Passes: nine tenths of the rate, no write above 500 ms, a deviation of at most 100 ms, no errors.
bool Judge(const Samples& samples, int writes_per_second, std::ostream* out);

}  // namespace client
