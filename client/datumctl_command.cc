// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_command.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace client {
namespace {

sigset_t EndSignalSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

int Fail(const absl::Status& status, int code) {
  std::cerr << "Error: "
            << (status.message().empty() ? absl::StatusCodeToString(status.code())
                                         : std::string(status.message()))
            << "\n";
  return code;
}

absl::Status FindEndpoints(Command* command) {
  Arguments& arguments = command->arguments;
  if (!arguments.whole_cluster) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto members, command->client->MemberList());
  arguments.options.endpoints.clear();
  for (const etcdserverpb::Member& member : members.members()) {
    for (const std::string& url : member.clienturls()) arguments.options.endpoints.push_back(url);
  }
  ASSIGN_OR_RETURN(command->client, Client::Create(arguments.options));
  return absl::OkStatus();
}

absl::StatusOr<int> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) all.emplace_back(*variable);
  all.insert(all.end(), environment.begin(), environment.end());
  // The signals that we block are the program's to take.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int failure = posix_spawnp(&child, words[0].c_str(), nullptr, &attributes,
                                   Pointers(words).data(), Pointers(all).data());
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) {
    return absl::NotFoundError(absl::StrCat("cannot run ", words[0], ": ", strerror(failure)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return absl::InternalError(absl::StrCat("waitpid: ", strerror(errno)));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void BlockEndSignals() {
  const sigset_t set = EndSignalSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

EndSignals::EndSignals(std::function<void()> on_signal)
    : thread_([this, on_signal = std::move(on_signal)] {
        const sigset_t set = EndSignalSet();
        int signal = 0;
        while (sigwait(&set, &signal) == 0) {
          if (ending_) return;
          on_signal();
        }
      }) {}

EndSignals::~EndSignals() {
  ending_ = true;
  // To this thread alone; it is blocked there, so that sigwait takes it.
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

}  // namespace client
