// SPDX-License-Identifier: Apache-2.0
//
// lease.h: a lease that lives for as long as this program does, and what hangs on one: locks and
// leadership.
//
//   auto session = client::Session::Open(*client, /*ttl_seconds=*/10);
//   auto lock = (*session)->Lock("jobs/nightly", absl::Minutes(1));
//   ... every write of the work: If(CreateRevision(lock->key).Is(">", 0)) ...
//   (*session)->Unlock(*lock);
//
// A lock is a hint, its key is the proof: the lease may run out while this program is paused.
// A write that compares the key's existence, or hands lock->revision to a store that refuses
// smaller ones (fencing), is safe; a write that only remembers having locked is not.
//
// Threads: any.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/time.h"
#include "client/client.h"
#include "proto/etcd/rpc.pb.h"
#include "proto/etcd/v3election.pb.h"
#include "proto/etcd/v3lock.pb.h"

namespace client {

// Keeps a lease alive in the background, by a keep-alive each third of its TTL.
class LeaseKeeper {
 public:
  struct Options {
    // Between keep-alives; zero: a third of the TTL.
    absl::Duration interval;
    // Called by the background thread. It must not destroy the keeper.
    std::function<void(const etcdserverpb::LeaseKeepAliveResponse&)> on_kept;
  };

  // `client` outlives the keeper.
  LeaseKeeper(const Client& client, int64_t id, Options options);
  LeaseKeeper(const Client& client, int64_t id) : LeaseKeeper(client, id, Options{}) {}
  // Stops. The lease lives on until its TTL has passed.
  ~LeaseKeeper();

  // OK while the lease is known to live. Then, for ever: NotFound if the servers do not have it,
  // DeadlineExceeded if none of them has answered for a whole TTL, and it must be taken for gone.
  absl::Status status() const;

  // Waits until the lease is lost. False: it was not within `timeout`.
  bool WaitUntilLost(absl::Duration timeout) const;

 private:
  void Run();
  // One keep-alive. How long to wait until the next; zero if the lease is lost.
  absl::Duration KeepOnce();
  void Lose(absl::Status status);

  const Client& client_;
  const int64_t id_;
  const Options options_;
  const base::SystemClock clock_;
  // No server has said anything else up to here.
  base::TimePoint alive_until_;

  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it runs on all of the above
};

struct HeldLock {
  // Exists while the lock is held.
  std::string key;
  // The key's create revision, which grows from holder to holder: the fencing token
  // (docs/api/locks.md).
  int64_t revision = 0;
};

class Session {
 public:
  // Makes a lease and keeps it. `client` outlives the session.
  static absl::StatusOr<std::unique_ptr<Session>> Open(const Client& client, int64_t ttl_seconds);
  // Close().
  ~Session();

  // Revokes the lease: all its locks are free and all its leaderships over, at once.
  absl::Status Close();

  int64_t lease() const { return lease_; }
  // As LeaseKeeper.
  absl::Status status() const { return keeper_->status(); }
  bool WaitUntilLost(absl::Duration timeout) const { return keeper_->WaitUntilLost(timeout); }

  // Errors: DeadlineExceeded if somebody else holds it all the time. Aborted if the lease ended as
  //         soon as it held the lock.
  absl::StatusOr<HeldLock> Lock(std::string_view name, absl::Duration timeout);
  absl::Status Unlock(const HeldLock& lock);

  // Returns once this session leads. Client::Proclaim and Client::Resign take what it returns.
  absl::StatusOr<v3electionpb::LeaderKey> Campaign(std::string_view name, std::string_view value,
                                                   absl::Duration timeout);

 private:
  Session(const Client& client, int64_t lease);

  const Client& client_;
  const int64_t lease_;
  std::unique_ptr<LeaseKeeper> keeper_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Who leads an election, from now on. It resumes as a Watcher does.
class ElectionWatcher {
 public:
  // `client` outlives it.
  ElectionWatcher(const Client& client, std::string_view name);
  ~ElectionWatcher();

  // Waits for the next leader, or for the next thing it says.
  // Errors: Cancelled after Stop(); otherwise the server's.
  absl::StatusOr<v3electionpb::LeaderResponse> Next();
  void Stop();

 private:
  struct Stream;
  const std::unique_ptr<Stream> stream_;
  const std::string name_;
  int64_t seen_revision_ = 0;
};

}  // namespace client
