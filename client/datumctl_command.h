// SPDX-License-Identifier: Apache-2.0
//
// datumctl_command.h: what the verbs of datumctl have in common. Each Run function is one verb, or
// a family of them, and returns the exit code.
//
// Threads: one, that of main(); verbs that start others end them.

#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/datumctl_arguments.h"
#include "client/datumctl_print.h"

namespace client {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kBadUsage = 2;

// A command line that was understood, and what it needs.
struct Command {
  Arguments arguments;
  std::unique_ptr<Client> client;
  std::unique_ptr<Printer> printer;
};

int RunEndpoint(Command* command);    // datumctl_endpoint.cc
int RunAlarm(Command* command);       // datumctl_endpoint.cc
int RunDefrag(Command* command);      // datumctl_endpoint.cc
int RunLease(Command* command);       // datumctl_lease.cc
int RunLock(Command* command);        // datumctl_lock.cc
int RunElect(Command* command);       // datumctl_lock.cc
int RunWatch(Command* command);       // datumctl_watch.cc
int RunMakeMirror(Command* command);  // datumctl_mirror.cc
int RunCheckPerf(Command* command);   // datumctl_check.cc
int RunSnapshot(Command* command);    // datumctl_snapshot.cc

// Says on stderr what is wrong, in the server's text alone, as etcdctl does. Returns `code`.
int Fail(const absl::Status& status, int code);

// With --cluster: the client URLs of all members become the endpoints.
absl::Status FindEndpoints(Command* command);

// Runs a program with these variables ("NAME=value") besides ours, and waits for it. Its exit
// code; 128 + the number of the signal that ended it.
absl::StatusOr<int> RunProgram(const std::vector<std::string>& words,
                               const std::vector<std::string>& environment);

// SIGINT and SIGTERM of this program as calls of a function, which a thread of this object makes.
// BlockEndSignals() goes before any other thread is made.
void BlockEndSignals();
class EndSignals {
 public:
  explicit EndSignals(std::function<void()> on_signal);
  ~EndSignals();

 private:
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace client
