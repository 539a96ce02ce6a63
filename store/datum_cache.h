// SPDX-License-Identifier: Apache-2.0
//
// datum_cache.h: current datums by key, and keys known to be absent, within a budget of bytes.
//
// It stands before the family `datum` for point reads: apply finds a key's previous version here,
// and hot reads never touch RocksDB. What it says holds at the reader's revision or it says
// nothing, so that it can change no result.
//
// Order of an apply: write the batch, Update each changed key, publish the new view. So a reader
// whose view is older than an update finds a revision above its own, and asks its view instead.
// Threads: any may read and Offer; Update is the apply thread's.

#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "store/engine.h"

namespace store {

class DatumCache {
 public:
  explicit DatumCache(size_t bytes_max);
  DatumCache(const DatumCache&) = delete;
  DatumCache& operator=(const DatumCache&) = delete;

  // An encoded datum; null if the key is known to be absent.
  using Answer = std::shared_ptr<const std::string>;

  // What stood under `key` at `revision`, if that is known.
  std::optional<Answer> Find(std::string_view key, int64_t revision);

  // The key became this (an empty string: was deleted) at `revision`.
  void Update(std::string_view key, std::string_view datum_bytes, int64_t revision);

  // A reader whose view stands at `revision` found this (an empty string: nothing). Not taken if
  // something near it changed since.
  void Offer(std::string_view key, std::string_view datum_bytes, int64_t revision);

 private:
  struct Item {
    std::string key;
    Answer answer;
    // The datum's, or from where on the key is known to be absent.
    int64_t revision = 0;
  };
  using Items = std::list<Item>;
  struct Shard {
    std::mutex mutex;
    // The least recently used last.
    Items items;
    // The keys are the items' own.
    absl::flat_hash_map<std::string_view, Items::iterator> by_key;
    size_t bytes = 0;
    int64_t updated_at = 0;
  };

  static size_t ItemBytes(const Item& item);
  Shard& ShardOf(std::string_view key);
  // Requires: the shard's mutex is held.
  void Store(Shard* shard, std::string_view key, std::string_view datum_bytes, int64_t revision);

  const size_t shard_bytes_max_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

// A reader with the cache before it. Threads: as the reader.
class CachedReader final : public Reader {
 public:
  // `base` stands at `revision`; both must outlive this.
  CachedReader(const Reader* base, DatumCache* cache, int64_t revision)
      : base_(base), cache_(cache), revision_(revision) {}

  absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const override;
  std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const override {
    return base_->NewCursor(family, upper_bound);
  }

  void set_revision(int64_t revision) { revision_ = revision; }

 private:
  const Reader* const base_;
  DatumCache* const cache_;
  int64_t revision_;
};

}  // namespace store
