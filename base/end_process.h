// SPDX-License-Identifier: Apache-2.0
//
// end_process.h: the one way in which this process ends when its disk refuses (DESIGN.md, rule 5).
//
// In the simulator many members live in one process, so it ends one of them instead.
// Threads: EndProcess from any; SetEndProcess before there are any.

#pragma once

#include <functional>
#include <string>

namespace base {

// Says why, and ends the process. Never returns.
[[noreturn]] void EndProcess(const std::string& why);

// `end` must not return: it ends the process or throws.
void SetEndProcess(std::function<void(const std::string& why)> end);

}  // namespace base
