// SPDX-License-Identifier: Apache-2.0

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "client/datumctl_command.h"
#include "client/datumctl_text.h"
#include "client/watch.h"

namespace client {
namespace {

// Answers of several watches do not mix on stdout.
absl::Mutex& PrintMutex() {
  static absl::Mutex mutex;
  return mutex;
}

// The variables that tell a command of an event; keys and values are in Go's quotes.
std::vector<std::string> EnvironmentOf(const etcdserverpb::WatchResponse& answer,
                                       const mvccpb::Event& event) {
  const char* type = event.type() == mvccpb::Event::DELETE ? "DELETE" : "PUT";
  return {absl::StrCat("ETCD_WATCH_REVISION=", answer.header().revision()),
          absl::StrCat("ETCD_WATCH_EVENT_TYPE=", GoQuoted(type)),
          absl::StrCat("ETCD_WATCH_KEY=", GoQuoted(event.kv().key())),
          absl::StrCat("ETCD_WATCH_VALUE=", GoQuoted(event.kv().value()))};
}

absl::Status RunForEach(const std::vector<std::string>& command,
                        const etcdserverpb::WatchResponse& answer) {
  for (const mvccpb::Event& event : answer.events()) {
    const auto code = RunProgram(command, EnvironmentOf(answer, event));
    if (!code.ok()) return code.status();
    if (*code != 0) {
      return absl::UnknownError(absl::StrCat("command ", absl::StrJoin(command, " "),
                                             " error (exit status ", *code, ")"));
    }
  }
  return absl::OkStatus();
}

// Prints what comes until the watch or a command of it ends.
absl::Status Follow(Printer* printer, const std::vector<std::string>& command, Watcher* watcher) {
  while (true) {
    const auto answer = watcher->Next();
    if (!answer.ok()) {
      absl::MutexLock lock(&PrintMutex());
      std::cerr << "watch was canceled (" << answer.status().message() << ")\n";
      etcdserverpb::WatchResponse last;
      last.set_canceled(true);
      last.set_compact_revision(watcher->compact_revision());
      printer->Watch(last);
      return absl::CancelledError("watch is canceled by the server");
    }
    {
      absl::MutexLock lock(&PrintMutex());
      if (answer->events().empty()) {
        std::cout << "progress notify: " << answer->header().revision() << std::endl;
      }
      printer->Watch(*answer);
    }
    if (command.empty()) continue;
    const absl::Status ran = RunForEach(command, *answer);
    if (!ran.ok()) return ran;
  }
}

// A key from the environment stands in for one that is not on the line.
absl::Status TakeEnvironment(WatchArguments* watch) {
  const char* key = getenv("ETCDCTL_WATCH_KEY");
  const char* end = getenv("ETCDCTL_WATCH_RANGE_END");
  const bool has_key = key != nullptr && *key != '\0';
  const bool has_end = end != nullptr && *end != '\0';
  if (has_end && !has_key) {
    return absl::InvalidArgumentError(
        "ETCDCTL_WATCH_RANGE_END is set but ETCDCTL_WATCH_KEY is not");
  }
  if (!has_key) return absl::OkStatus();
  if (watch->has_key) {
    return absl::InvalidArgumentError("a key stands on the line and in ETCDCTL_WATCH_KEY");
  }
  watch->key = key;
  watch->has_key = true;
  if (has_end) {
    watch->range_end = end;
    watch->has_range_end = true;
  }
  return absl::OkStatus();
}

std::vector<std::string> CommandOf(const WatchArguments& watch,
                                   const std::vector<std::string>& command) {
  return watch.exec.empty() ? command : std::vector<std::string>{"/bin/sh", "-c", watch.exec};
}

// Watches that are started line by line, each with a thread that prints it.
class InteractiveWatches {
 public:
  explicit InteractiveWatches(Command* command) : command_(*command) {}

  ~InteractiveWatches() {
    for (const auto& watcher : watchers_) watcher->Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  // What is wrong with the line goes to stderr, and the next one is read.
  void Take(const std::string& line) {
    const std::optional<std::vector<std::string>> words = SplitWords(line);
    if (!words || words->empty()) {
      std::cerr << "Invalid command: " << line << " (watch and progress supported)\n";
    } else if (words->front() == "watch") {
      const absl::Status started = Start(*words);
      if (!started.ok()) {
        std::cerr << "Invalid command " << line << " (" << started.message() << ")\n";
      }
    } else if (words->front() == "progress") {
      for (const auto& watcher : watchers_) watcher->RequestProgress();
    } else {
      std::cerr << "Invalid command " << line << " (only support watch)\n";
    }
  }

 private:
  absl::Status Start(const std::vector<std::string>& words) {
    auto line = ParseWatchLine(words);
    if (!line.ok()) return line.status();
    const absl::Status taken = TakeEnvironment(&line->watch);
    if (!taken.ok()) return taken;
    if (!line->watch.has_key) {
      return absl::InvalidArgumentError("command type or key is not provided");
    }
    const auto request = RequestOf(line->watch);
    if (!request.ok()) return request.status();
    watchers_.push_back(std::make_unique<Watcher>(*command_.client, *request));
    threads_.emplace_back(
        [this, watcher = watchers_.back().get(), program = CommandOf(line->watch, line->command)] {
          const absl::Status ended = Follow(command_.printer.get(), program, watcher);
          if (!absl::IsCancelled(ended)) std::cerr << "Error: " << ended.message() << "\n";
        });
    return absl::OkStatus();
  }

  Command& command_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::vector<std::thread> threads_;
};

int Interactive(Command* command) {
  InteractiveWatches watches(command);
  std::string line;
  while (std::getline(std::cin, line)) watches.Take(line);
  // Killed, not ended in order: the watches' last words would not be true.
  std::cout.flush();
  Fail(absl::OutOfRangeError("error reading watch request line: EOF"), kFailed);
  std::_Exit(kFailed);
}

}  // namespace

int RunWatch(Command* command) {
  WatchArguments& watch = command->arguments.watch;
  if (watch.interactive) return Interactive(command);
  if (!watch.exec.empty() && !command->arguments.command.empty()) {
    return Fail(absl::InvalidArgumentError("--exec and -- COMMAND cannot be given together"),
                kBadUsage);
  }
  const absl::Status taken = TakeEnvironment(&watch);
  if (!taken.ok()) return Fail(taken, kBadUsage);
  const auto request = RequestOf(watch);
  if (!request.ok()) return Fail(request.status(), kBadUsage);
  Watcher watcher(*command->client, *request);
  return Fail(
      Follow(command->printer.get(), CommandOf(watch, command->arguments.command), &watcher),
      kFailed);
}

}  // namespace client
