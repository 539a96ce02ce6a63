// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_txn.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/datumctl_arguments.h"
#include "client/datumctl_text.h"
#include "client/request.h"

namespace client {
namespace {

using etcdserverpb::Compare;

absl::Status Malformed(const std::string& line, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("malformed comparison: ", line, " (", why, ")"));
}

std::string_view WithoutBlanks(std::string_view text) {
  while (!text.empty() && absl::ascii_isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  return text;
}

// The lines up to an empty one. A list that the end of the input cuts off is an error: half a txn
// must not run.
absl::StatusOr<std::vector<std::string>> ReadList(std::istream* in) {
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(*in, line)) {
    // A last line without its newline is cut off too.
    if (in->eof()) break;
    line = std::string(absl::StripAsciiWhitespace(line));
    if (line.empty()) return lines;
    lines.push_back(line);
  }
  return absl::InvalidArgumentError(
      "stdin ended early: each of the three lists ends with an empty line");
}

absl::StatusOr<etcdserverpb::RequestOp> ParseOperation(const std::string& line) {
  const std::optional<std::vector<std::string>> words = SplitWords(line);
  if (!words || words->size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("invalid txn request: ", line));
  }
  absl::StatusOr<etcdserverpb::RequestOp> op = ParseTxnOperation(*words);
  if (!op.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid txn request: ", line, " (", std::string(op.status().message()), ")"));
  }
  return op;
}

}  // namespace

absl::StatusOr<Compare> ParseCompare(std::string_view text) {
  const std::string line(text);
  const size_t bracket = text.find('(');
  if (bracket == std::string_view::npos) return Malformed(line, "no bracket");
  static const std::map<std::string, Compare::CompareTarget> kTargets = {
      {"ver", Compare::VERSION},   {"version", Compare::VERSION}, {"c", Compare::CREATE},
      {"create", Compare::CREATE}, {"m", Compare::MOD},           {"mod", Compare::MOD},
      {"val", Compare::VALUE},     {"value", Compare::VALUE},     {"lease", Compare::LEASE}};
  const auto target = kTargets.find(std::string(text.substr(0, bracket)));
  if (target == kTargets.end()) return Malformed(line, "unknown target");
  std::string_view rest = text.substr(bracket + 1);
  const std::optional<std::string> key = TakeGoQuoted(&rest);
  if (!key || rest.empty() || rest.front() != ')') return Malformed(line, "no (\"key\")");
  rest = WithoutBlanks(rest.substr(1));
  const size_t relation_end = rest.find_first_not_of("=!<>");
  const std::string_view relation = rest.substr(0, relation_end);
  if (relation != "=" && relation != "!=" && relation != "<" && relation != ">") {
    return Malformed(line, "the relation is not =, !=, < or >");
  }
  rest = WithoutBlanks(rest.substr(relation.size()));
  const std::optional<std::string> operand = TakeGoQuoted(&rest);
  if (!operand) return Malformed(line, "the operand is not in double quotes");
  if (!WithoutBlanks(rest).empty()) return Malformed(line, "something follows the operand");
  Condition condition(target->second, *key);
  if (target->second == Compare::VALUE) return std::move(condition).Is(relation, *operand);
  int64_t number = 0;
  if (target->second == Compare::LEASE) {
    const absl::StatusOr<int64_t> lease = ParseLeaseId(*operand);
    if (!lease.ok()) return Malformed(line, "the lease is not in hexadecimal");
    number = *lease;
  } else if (!absl::SimpleAtoi(*operand, &number)) {
    return Malformed(line, "the operand is not a number");
  }
  return std::move(condition).Is(relation, number);
}

absl::StatusOr<etcdserverpb::TxnRequest> ReadTxn(
    std::istream* in, const std::function<void(std::string_view)>& prompt) {
  etcdserverpb::TxnRequest request;
  prompt("compares:");
  absl::StatusOr<std::vector<std::string>> lines = ReadList(in);
  if (!lines.ok()) return lines.status();
  for (const std::string& line : *lines) {
    absl::StatusOr<Compare> compare = ParseCompare(line);
    if (!compare.ok()) return compare.status();
    *request.add_compare() = *std::move(compare);
  }
  for (const bool success : {true, false}) {
    prompt(success ? "success requests (get, put, del):" : "failure requests (get, put, del):");
    lines = ReadList(in);
    if (!lines.ok()) return lines.status();
    for (const std::string& line : *lines) {
      absl::StatusOr<etcdserverpb::RequestOp> op = ParseOperation(line);
      if (!op.ok()) return op.status();
      *(success ? request.add_success() : request.add_failure()) = *std::move(op);
    }
  }
  return request;
}

}  // namespace client
