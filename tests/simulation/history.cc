// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/history.h"

#include <sstream>

namespace simulation {
namespace {

const char* KindName(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kPut:
      return "put";
    case Operation::Kind::kGet:
      return "get";
    case Operation::Kind::kDelete:
      return "delete";
    case Operation::Kind::kTxn:
      return "txn";
    case Operation::Kind::kRange:
      return "range";
    case Operation::Kind::kCompact:
      return "compact";
  }
  return "?";
}

const char* OutcomeName(Operation::Outcome outcome) {
  switch (outcome) {
    case Operation::Outcome::kOk:
      return "ok";
    case Operation::Outcome::kFail:
      return "fail";
    case Operation::Outcome::kUnknown:
      return "unknown";
  }
  return "?";
}

}  // namespace

std::string Describe(const Operation& operation) {
  std::ostringstream out;
  out << "client " << operation.client << " " << KindName(operation.kind)
      << (operation.serializable ? " (serializable) " : " ") << operation.key;
  if (!operation.expected.empty()) out << " if " << operation.expected;
  if (!operation.value.empty()) out << " = " << operation.value;
  out << ": " << OutcomeName(operation.outcome);
  if (operation.outcome != Operation::Outcome::kOk) return out.str();
  out << " at revision " << operation.revision;
  if (operation.shown_revision != operation.revision) out << " of " << operation.shown_revision;
  if (operation.writes()) out << (operation.changed ? " changed" : " changed nothing");
  for (const SeenDatum& datum : operation.seen) {
    out << " [" << datum.key << "=" << datum.value << " created " << datum.create_revision
        << " modified " << datum.mod_revision << " version " << datum.version << "]";
  }
  return out.str();
}

void WriteJson(const History& history, base::TimePoint begin, std::ostream* out) {
  using Kind = Operation::Kind;
  for (const Operation& operation : history) {
    if (operation.kind == Kind::kRange || operation.kind == Kind::kCompact) continue;
    if (operation.serializable || operation.shown_revision != operation.revision) continue;
    const bool reads = operation.kind == Kind::kGet;
    const std::string seen = operation.seen.empty() ? "" : operation.seen.front().value;
    const bool ok = operation.outcome == Operation::Outcome::kOk;
    *out << "{\"client\":" << operation.client << ",\"op\":\"" << KindName(operation.kind)
         << "\",\"key\":\"" << operation.key << "\",\"value\":\""
         << (reads ? seen : operation.value) << "\",\"expected\":\"" << operation.expected
         << "\",\"found\":" << ((reads ? !seen.empty() : operation.changed) ? "true" : "false");
    // What a Txn met whose comparison failed.
    if (operation.kind == Kind::kTxn && ok && !operation.changed) {
      *out << ",\"seen\":\"" << seen << "\"";
    }
    const base::Duration end = (operation.end == base::kForever ? base::kForever - base::TimePoint()
                                                                : operation.end - begin);
    *out << ",\"outcome\":\"" << OutcomeName(operation.outcome)
         << "\",\"revision\":" << operation.revision
         << ",\"call\":" << (operation.call - begin).count() << ",\"return\":" << end.count()
         << "}\n";
  }
}

}  // namespace simulation
