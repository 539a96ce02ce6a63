// SPDX-License-Identifier: Apache-2.0
//
// datumctl_flags.h: the verbs of datumctl's command line, by what they are for. Each function adds
// verbs to `app` that fill *arguments.
//
// Threads: one.

#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "client/datumctl_arguments.h"

namespace client {

CLI::Option* AddDuration(CLI::App* app, const std::string& name, absl::Duration* target,
                         const std::string& help);

// Sets arguments->verb when `app` was on the line.
void Becomes(CLI::App* app, Verb verb, Arguments* arguments);

// A verb under `parent` that takes the global flags too.
CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& help, Verb verb,
                  Arguments* arguments);
// A word before verbs: "lease grant".
CLI::App* AddGroup(CLI::App* app, const std::string& name, const std::string& help);

// datumctl_flags_cluster.cc
void AddEndpointVerbs(CLI::App* app, Arguments* arguments);
void AddMemberVerbs(CLI::App* app, Arguments* arguments);
void AddMaintenanceVerbs(CLI::App* app, Arguments* arguments);
void AddSnapshotVerbs(CLI::App* app, Arguments* arguments);

// datumctl_flags_watch.cc
void AddWatchFlags(CLI::App* app, WatchArguments* watch);
void AddWatchVerb(CLI::App* app, Arguments* arguments);
void AddLeaseVerbs(CLI::App* app, Arguments* arguments);
void AddSessionVerbs(CLI::App* app, Arguments* arguments);
void AddMirrorVerb(CLI::App* app, Arguments* arguments);

}  // namespace client
