// SPDX-License-Identifier: Apache-2.0
//
// history_checker.h: is a history of clients linearizable?
//
// Every answer of the store carries a revision, so the order of the writes is in the history: the
// search that linearizability asks for in general is a sort. The writes, ordered by revision, are
// run through a sequential model (per key: value, create and mod revision, version); every answer
// must show the model's state at its revision; and no answer may be at a revision below that of
// an answer that was given before it was asked for. A write whose outcome is unknown takes part
// where a read shows its value, or may fill a revision that nobody else claims.

#pragma once

#include <string>

#include "tests/simulation/history.h"

namespace simulation {

// Empty if it is, else what is wrong. O(n log n).
std::string CheckHistory(const History& history);

}  // namespace simulation
