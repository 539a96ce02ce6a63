// SPDX-License-Identifier: Apache-2.0
//
// history.h: what clients asked and what they were told, in the order of their asking.
//
// Every value that is written is unique, so a value that is read names its write.

#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/time.h"

namespace simulation {

// A datum as an answer showed it.
struct SeenDatum {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
};

struct Operation {
  // kTxn: if the key's value is `expected`, put `value`, else get. kRange: every key there is.
  enum class Kind { kPut, kGet, kDelete, kTxn, kRange, kCompact };
  // kFail: surely never applied. kUnknown: applied once, perhaps later, or never.
  enum class Outcome { kOk, kFail, kUnknown };

  uint64_t client = 0;
  Kind kind = Kind::kGet;
  bool serializable = false;
  std::string key;
  std::string value;
  std::string expected;
  // Txn: it reads at this revision too, which may be compacted; 0: it does not.
  int64_t past_revision = 0;
  Outcome outcome = Outcome::kUnknown;
  // Of what was OK: a revision was made by it.
  bool changed = false;
  // The header's, at which it took effect or was read.
  int64_t revision = 0;
  // The revision whose state `seen` shows: `revision`, or an older one that was asked for.
  int64_t shown_revision = 0;
  std::vector<SeenDatum> seen;
  base::TimePoint call;
  base::TimePoint end = base::kForever;

  bool writes() const { return kind == Kind::kPut || kind == Kind::kDelete || kind == Kind::kTxn; }
  bool puts() const { return kind == Kind::kPut || kind == Kind::kTxn; }
};

using History = std::vector<Operation>;

std::string Describe(const Operation& operation);

// One JSON object a line, for porcupine (tests/go/linearizability): linearizable gets, puts,
// deletes and Txns.
void WriteJson(const History& history, base::TimePoint begin, std::ostream* out);

}  // namespace simulation
