// SPDX-License-Identifier: Apache-2.0
//
// watch.h: the changes of keys, one after another, over as many connections as it takes.
//
//   client::Watcher watcher(*client, client::WatchPrefix("config/"));
//   while (true) {
//     auto answer = watcher.Next();
//     if (!answer.ok()) break;  // compacted, refused or stopped
//     for (const mvccpb::Event& event : answer->events()) ...
//   }
//
// When a connection is lost the watcher goes on from the revision after the last one that it
// handed out, on another endpoint if there is one, for as long as it takes. So nothing is missing
// and nothing comes twice, and all events of a revision come in one answer. A member that knows
// of no leader is left, too.
//
// Threads: Next() and Created() one; the others any.
// Errors:  OutOfRange: the history it would go on from is compacted; compact_revision() is the
//          first that is left. Cancelled: Stop() was called. Otherwise the server's refusal.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"
#include "proto/etcd/rpc.pb.h"

namespace client {

// From the next revision on; every other option is a field of the message.
etcdserverpb::WatchCreateRequest WatchKey(std::string_view key);
// An empty prefix is every key.
etcdserverpb::WatchCreateRequest WatchPrefix(std::string_view prefix);

class Watcher {
 public:
  // Connects with the first call of Next() or Created(). `client` outlives the watcher.
  Watcher(const Client& client, etcdserverpb::WatchCreateRequest request);
  ~Watcher();

  // Returns once a server has the watch: from here on every change is seen.
  absl::Status Created();

  // Waits for the next answer: with events, or without them to tell how far the watch has come
  // (asked for by progress_notify or RequestProgress).
  absl::StatusOr<etcdserverpb::WatchResponse> Next();

  // The answer comes from Next(). Nothing is sent, and none comes, while there is no connection.
  void RequestProgress();

  // Next() returns Cancelled, now and ever after.
  void Stop();

  // Where it would go on; 0 before Created().
  int64_t next_revision() const { return next_revision_.load(std::memory_order_relaxed); }
  int64_t compact_revision() const { return compact_revision_.load(std::memory_order_relaxed); }

 private:
  struct Stream;

  // A stream on which the watch is created. Tries until there is one.
  absl::Status Open();
  absl::Status OpenOnce(bool* again);
  // The end of the stream; OK if another may go on.
  absl::Status Close();
  absl::Status Cancelled(const etcdserverpb::WatchResponse& answer);
  // Adds a piece to the answer it belongs to; true once the answer is whole.
  bool Complete(etcdserverpb::WatchResponse* piece);
  void Advance(const etcdserverpb::WatchResponse& answer);

  const std::unique_ptr<Stream> stream_;
  etcdserverpb::WatchCreateRequest request_;
  // Pieces of an answer whose last one is still to come.
  etcdserverpb::WatchResponse pieces_;
  bool has_pieces_ = false;
  // How the watch ended, once it has.
  absl::Status ended_;
  std::atomic<int64_t> next_revision_{0};
  std::atomic<int64_t> compact_revision_{0};
};

}  // namespace client
