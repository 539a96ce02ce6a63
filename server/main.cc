// SPDX-License-Identifier: Apache-2.0
//
// Ends with 0 after SIGTERM or SIGINT, 1 if the start fails or the member was removed, 2 for a
// wrong command line.

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "server/app.h"
#include "server/app_log.h"
#include "server/flags.h"

namespace {

constexpr rlim_t kDescriptorsWanted = 4096;

// Blocked in the first thread, and so in all that it makes: one place waits for them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

// Connections, the log and RocksDB share the descriptors; the shell's soft limit is too low for
// a server, and running out of them on the way to the log ends the process.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < kDescriptorsWanted) {
    LOG(WARNING) << "only " << limit.rlim_cur << " file descriptors may be open; at least "
                 << kDescriptorsWanted << " are wanted (ulimit -n)";
  }
}

std::optional<std::string> FromEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t stop_signals = BlockStopSignals();
  auto line = server::ParseCommandLine({argv + 1, argv + argc}, FromEnvironment);
  if (!line.ok()) {
    std::cerr << "datum: " << line.status().message() << "\nTry --help.\n";
    return 2;
  }
  switch (line->action) {
    case server::CommandLine::Action::kHelp:
      std::cout << server::HelpText();
      return 0;
    case server::CommandLine::Action::kVersion:
      std::cout << server::VersionText();
      return 0;
    case server::CommandLine::Action::kServe:
      break;
  }
  server::StartLog(argv[0], line->config.log_level);
  server::LogToStderrWithoutWaiting();
  RaiseDescriptorLimit();
  if (!line->without_effect.empty()) {
    LOG(WARNING) << "accepted without effect: " << absl::StrJoin(line->without_effect, ", ");
  }
  // `bazel run` starts programs elsewhere and says here where it was called.
  const auto called_in = FromEnvironment("BUILD_WORKING_DIRECTORY");
  if (called_in.has_value() && line->config.data_dir[0] != '/') {
    line->config.data_dir = *called_in + "/" + line->config.data_dir;
  }

  // Both signals are blocked: one that came waits until somebody asks.
  const server::App::Signals signals = {.stop_asked =
                                            [stop_signals] {
                                              sigset_t pending;
                                              sigpending(&pending);
                                              return sigismember(&pending, SIGTERM) == 1 ||
                                                     sigismember(&pending, SIGINT) == 1;
                                            },
                                        .end = [] { kill(getpid(), SIGTERM); }};
  auto app = server::App::Start(line->config, signals);
  if (!app.ok()) {
    server::FlushLog();
    std::cerr << "datum: " << app.status().message() << "\n";
    return absl::IsInvalidArgument(app.status()) ? 2 : 1;
  }
  int signal_number = 0;
  sigwait(&stop_signals, &signal_number);
  LOG(INFO) << "ends on " << strsignal(signal_number);
  (*app)->Stop();
  const std::string why = (*app)->why_ended();
  server::FlushLog();
  if (!why.empty()) std::cerr << "datum: " << why << "\n";
  app->reset();
  server::FlushLog();
  std::cerr.flush();
  // Not by return: grpc++ keeps threads that still run while exit() takes the static objects of its
  // libraries away below them.
  _exit(why.empty() ? 0 : 1);
}
