// SPDX-License-Identifier: Apache-2.0
//
// docs/ lists every flag and every error as they are, and no others.

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "server/errors.h"
#include "server/flags.h"

namespace server {
namespace {

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::string all((std::istreambuf_iterator<char>(file)), {});
  return absl::StrSplit(all, '\n');
}

// "  --name <takes>  (default: text)" as a row of the table: | `--name` | takes | text |
std::set<std::string> FlagsOfHelp() {
  std::set<std::string> rows;
  const std::vector<std::string> lines = absl::StrSplit(HelpText(), '\n');
  for (const std::string& line : lines) {
    const size_t takes = line.find(" <");
    const size_t text = line.find(">  (default: ");
    if (line.rfind("  --", 0) != 0 || takes == std::string::npos || text == std::string::npos) {
      continue;
    }
    const size_t value = text + std::string_view(">  (default: ").size();
    std::string kind = line.substr(takes + 2, text - takes - 2);
    // A bar would end the cell.
    for (size_t at = 0; (at = kind.find('|', at)) != std::string::npos; at += 2) {
      kind.insert(at, 1, '\\');
    }
    rows.insert(absl::StrCat("| `", line.substr(2, takes - 2), "` | ", kind, " | ",
                             line.substr(value, line.size() - value - 1), " |"));
  }
  return rows;
}

TEST(DocsTest, EveryFlagIsListedAsItIs) {
  std::set<std::string> listed;
  for (const std::string& line : LinesOf("docs/operations/flags.md")) {
    if (line.rfind("| `--", 0) == 0) listed.insert(line);
  }
  const std::set<std::string> flags = FlagsOfHelp();
  EXPECT_GT(flags.size(), 20u);
  for (const std::string& row : flags) {
    EXPECT_TRUE(listed.contains(row)) << "docs/operations/flags.md lacks the line\n" << row;
  }
  for (const std::string& row : listed) {
    EXPECT_TRUE(flags.contains(row)) << "docs/operations/flags.md has, and --help has not\n" << row;
  }
}

TEST(DocsTest, EveryErrorIsListedAsItIs) {
  std::set<std::string> listed;
  for (const std::string& line : LinesOf("docs/api/errors.md")) {
    if (line.rfind("| `", 0) == 0) listed.insert(line);
  }
  std::set<std::string> errors;
  for (int i = 0; i < kWireErrorCount; ++i) {
    const absl::Status status = ErrorStatus(static_cast<WireError>(i));
    errors.insert(absl::StrCat("| `", std::string(status.message()), "` | ",
                               static_cast<int>(status.code()), " |"));
  }
  for (const std::string& row : errors) {
    EXPECT_TRUE(listed.contains(row)) << "docs/api/errors.md lacks the line\n" << row;
  }
  for (const std::string& row : listed) {
    EXPECT_TRUE(errors.contains(row)) << "docs/api/errors.md has, and the server has not\n" << row;
  }
}

}  // namespace
}  // namespace server
