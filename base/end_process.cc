// SPDX-License-Identifier: Apache-2.0

#include "base/end_process.h"

#include <utility>

#include "glog/logging.h"

namespace base {
namespace {

std::function<void(const std::string&)>& End() {
  static auto* end = new std::function<void(const std::string&)>;
  return *end;
}

}  // namespace

void EndProcess(const std::string& why) {
  if (End()) End()(why);
  LOG(FATAL) << why;
}

void SetEndProcess(std::function<void(const std::string&)> end) { End() = std::move(end); }

}  // namespace base
