// SPDX-License-Identifier: Apache-2.0
//
// key_waiters.h: who waits for a key to change.
//
// Nobody polls: what a batch wrote is looked up among the keys that are waited for.
// Threads: any.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "store/engine.h"

namespace server {

class KeyWaiters {
 public:
  // Called once, on the apply thread: must not block, and reads elsewhere.
  using OnChange = std::function<void()>;
  using Ticket = uint64_t;

  // Waits for a put or delete of `key` that is not yet readable. A key that ends in '/' stands for
  // all keys below it too.
  Ticket Wait(const std::string& key, OnChange on_change);
  // True if the call has not been made; it will not be.
  bool Cancel(const std::string& key, Ticket ticket);

  void OnCommit(std::span<const store::WriteOperation> batch);
  // Anything may have changed.
  void WakeAll();

  size_t size() const { return size_; }

 private:
  using Waiting = std::map<Ticket, OnChange>;

  // Under the lock: moves those who wait for exactly `key` to `woken`.
  void Take(std::string_view key, std::vector<OnChange>* woken);

  std::atomic<size_t> size_ = 0;
  std::mutex mutex_;
  // Guarded by mutex_.
  absl::flat_hash_map<std::string, Waiting> waiting_;
  Ticket last_ticket_ = 0;
};

}  // namespace server
