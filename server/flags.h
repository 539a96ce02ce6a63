// SPDX-License-Identifier: Apache-2.0
//
// flags.h: the command line and the environment, in etcd's names.
//
// "--f=v", "--f v" and "-f=v"; given twice, the last one counts. ETCD_LISTEN_CLIENT_URLS and the
// like stand for flags that the command line does not give.
// Errors: InvalidArgument; the text names the flag and says what it takes.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace server {

// The API version that is spoken; clients sniff it.
inline constexpr char kApiVersion[] = "3.7.1";
inline constexpr char kClusterVersion[] = "3.7";
inline constexpr char kDatumVersion[] = "0.1.0";

struct CommandLine {
  enum class Action { kServe, kHelp, kVersion };
  Action action = Action::kServe;
  Config config;
  // Flags that were given, are accepted, and change nothing.
  std::vector<std::string> without_effect;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `arguments` without the program's name.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const Environment& environment);

std::string HelpText();
std::string VersionText();

// glog to stderr alone, from this level on.
void StartLog(const char* program, const std::string& log_level);

}  // namespace server
