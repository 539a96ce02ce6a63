// SPDX-License-Identifier: Apache-2.0

#include <unistd.h>

#include <atomic>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/datumctl_command.h"
#include "client/lease.h"
#include "client/request.h"

namespace client {
namespace {

// As etcdctl's, for an election.
constexpr int64_t kElectTtlSeconds = 60;
// Between two looks for a signal while the lease lives.
constexpr absl::Duration kLook = absl::Milliseconds(50);

// What a signal means: before the lock is held, the end; afterwards, that it is to be released.
class Ending {
 public:
  explicit Ending(Session* session) : session_(*session) {}

  void OnSignal() {
    if (held_) {
      if (!asked_.exchange(true)) released_.Notify();
      return;
    }
    // Nothing waits for us any more once the lease is gone.
    (void)session_.Close();
    std::cout.flush();
    _exit(kFailed);
  }

  void Held() { held_ = true; }

  // Until a signal; false if the lease was lost before.
  bool Wait() {
    while (!released_.HasBeenNotified()) {
      if (session_.WaitUntilLost(kLook)) return false;
    }
    return true;
  }

 private:
  Session& session_;
  std::atomic<bool> held_{false};
  std::atomic<bool> asked_{false};
  absl::Notification released_;
};

// Prints the key of a lock or of a leader as get would.
absl::Status Show(Command* command, const std::string& key) {
  const auto datum = command->client->Range(RangeOf(key));
  if (!datum.ok()) return datum.status();
  if (datum->kvs().empty()) return absl::NotFoundError("lock lost on init");
  command->printer->Get(*datum);
  std::cout.flush();
  return absl::OkStatus();
}

int UnderLock(Command* command, Session* session, const HeldLock& lock, Ending* ending) {
  if (command->arguments.command.empty()) {
    const absl::Status shown = Show(command, lock.key);
    if (!shown.ok()) return Fail(shown, kFailed);
    if (!ending->Wait()) return Fail(absl::AbortedError("session expired"), kFailed);
    const absl::Status unlocked = session->Unlock(lock);
    return unlocked.ok() ? kDone : Fail(unlocked, kFailed);
  }
  const auto code = RunProgram(
      command->arguments.command,
      {absl::StrCat("ETCD_LOCK_KEY=", lock.key), absl::StrCat("ETCD_LOCK_REV=", lock.revision)});
  const absl::Status unlocked = session->Unlock(lock);
  if (!code.ok()) return Fail(code.status(), kFailed);
  if (*code != 0) return Fail(absl::UnknownError(absl::StrCat("exit status ", *code)), *code);
  return unlocked.ok() ? kDone : Fail(unlocked, kFailed);
}

int Listen(Command* command) {
  ElectionWatcher watcher(*command->client, command->arguments.session.name);
  const EndSignals signals([&watcher] { watcher.Stop(); });
  while (true) {
    const auto leader = watcher.Next();
    if (absl::IsCancelled(leader.status())) return kDone;
    if (!leader.ok()) return Fail(leader.status(), kFailed);
    etcdserverpb::RangeResponse answer;
    *answer.mutable_header() = leader->header();
    *answer.add_kvs() = leader->kv();
    command->printer->Get(answer);
    std::cout.flush();
  }
}

}  // namespace

int RunLock(Command* command) {
  const SessionArguments& wanted = command->arguments.session;
  const auto session = Session::Open(*command->client, wanted.ttl_seconds);
  if (!session.ok()) return Fail(session.status(), kFailed);
  Ending ending(session->get());
  const EndSignals signals([&ending] { ending.OnSignal(); });
  const auto lock = (*session)->Lock(wanted.name, absl::InfiniteDuration());
  if (!lock.ok()) return Fail(lock.status(), kFailed);
  ending.Held();
  return UnderLock(command, session->get(), *lock, &ending);
}

int RunElect(Command* command) {
  const SessionArguments& wanted = command->arguments.session;
  if (wanted.listen && wanted.has_value) {
    return Fail(absl::InvalidArgumentError("proposal given but -l is set"), kBadUsage);
  }
  if (!wanted.listen && !wanted.has_value) {
    return Fail(absl::InvalidArgumentError("no proposal argument but -l not set"), kBadUsage);
  }
  if (wanted.listen) return Listen(command);
  const auto session = Session::Open(*command->client, kElectTtlSeconds);
  if (!session.ok()) return Fail(session.status(), kFailed);
  Ending ending(session->get());
  const EndSignals signals([&ending] { ending.OnSignal(); });
  const auto leader = (*session)->Campaign(wanted.name, wanted.value, absl::InfiniteDuration());
  if (!leader.ok()) return Fail(leader.status(), kFailed);
  ending.Held();
  const absl::Status shown = Show(command, leader->key());
  if (!shown.ok()) return Fail(shown, kFailed);
  if (!ending.Wait()) return Fail(absl::AbortedError("elect: session expired"), kFailed);
  const auto resigned = command->client->Resign(*leader);
  return resigned.ok() ? kDone : Fail(resigned.status(), kFailed);
}

}  // namespace client
