// SPDX-License-Identifier: Apache-2.0
//
// memory_engine.h: the engine in ordered maps, with RocksDB's crash rule: back to the last flush.
//
// A key has its versions by batch number, as many as views and the last flush still need. Drops
// are as eager as the engine's contract allows: at once, from views and from what was flushed.

#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/engine.h"

namespace store {

// What stands for the directory: it outlives the engines that are opened on it.
// Threads: any.
class MemoryDisk {
 public:
  MemoryDisk() = default;
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  // Goes back to the last flush. Requires: no engine, view or cursor is open on it.
  void Crash();

  // What the last flush holds, as bytes that any machine understands, and back.
  std::string Export() const;
  // Errors: DataLoss if a byte is not as it was.
  static absl::StatusOr<std::shared_ptr<MemoryDisk>> Import(std::string_view bytes);

  // The disk no longer gives this record back: who reads it gets DataLoss, in views too.
  void DamageKey(Family family, std::string_view key);
  // Damages the record at that place, counted through all families. False if there are fewer.
  bool DamageRecord(size_t place);
  // A write or a flush finds damage: nothing is written any more.
  void DamageWrites();

 private:
  friend class MemoryEngine;
  friend class MemoryView;
  friend class MemoryCursor;

  // The batch that wrote it, and the value; none is a delete.
  struct Version {
    uint64_t batch = 0;
    std::optional<std::string> value;
  };
  // Oldest first; never empty.
  using Versions = std::vector<Version>;
  using Records = std::map<std::string, Versions, std::less<>>;

  void Write(std::span<const WriteOperation> operations);
  void Flush();
  // What stood under the key after `batch`, if anything. Requires: the mutex is held.
  static const std::string* ValueAt(const Versions& versions, uint64_t batch);
  // Forgets versions that nobody can read. Requires: the mutex is held.
  void Prune(Versions* versions) const;
  // Whether some reader's batch lies in [from, until). Requires: the mutex is held.
  bool Needed(uint64_t from, uint64_t until) const;
  // Requires: the mutex is held.
  absl::Status CheckRecord(Family family, std::string_view key) const;

  mutable std::mutex mutex_;
  Records records_[kFamilyCount];
  uint64_t last_batch_ = 0;
  uint64_t flushed_batch_ = 0;
  // The batches that views stand at, and how many views stand there.
  std::map<uint64_t, int> views_;
  // Where a delete is the newest version; swept by the next flush.
  std::vector<std::pair<Family, std::string>> deleted_;
  std::set<std::pair<Family, std::string>, std::less<>> damaged_;
  bool writes_damaged_ = false;
};

class MemoryEngine final : public Engine {
 public:
  explicit MemoryEngine(std::shared_ptr<MemoryDisk> disk);

  absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const override;
  std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const override;
  void Write(std::span<const WriteOperation> operations) override;
  std::shared_ptr<const Reader> NewView() const override;
  void Flush() override;
  absl::StatusOr<bool> GetPersisted(Family family, std::string_view key,
                                    OnValue on_value) const override;
  void DropKeysBelow(Family family, std::string_view bound) override;
  void DropValuesBelow(Family family, std::string_view bound) override;
  absl::Status damage() const override;
  void Retire() override;
  // Errors: Unimplemented, there is no directory to copy to.
  absl::Status Checkpoint(const std::string& directory) override;
  // The same in bytes: flushes, and gives what MemoryDisk::Import takes.
  std::string CheckpointBytes();
  uint64_t PhysicalBytes() const override;

 private:
  const std::shared_ptr<MemoryDisk> disk_;
  std::atomic<bool> retired_{false};
};

}  // namespace store
