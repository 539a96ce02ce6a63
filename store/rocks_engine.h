// SPDX-License-Identifier: Apache-2.0
//
// rocks_engine.h: the engine on RocksDB 7.8.3, within the rules that were found to hold for it.
//
// No write-ahead log, atomic flush of all families, every flush asked for names all of them (an
// explicit flush of some let the applied index run ahead of the data: facebook/rocksdb #11148).
// A write that fails in RocksDB's background work ends the process; a restart replays the Raft
// log. Files that it cannot read, or whose checksums are wrong, are damage.
// What a compaction made superfluous goes by whole files, and by a compaction filter that knows
// the bounds that DropKeysBelow and DropValuesBelow set.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "store/engine.h"

namespace store {

// Memory is a set of fixed budgets.
struct RocksOptions {
  // The directory; made if it is missing, its parent must exist.
  std::string directory;
  size_t block_cache_bytes = 256 << 20;
  // All write buffers together; reaching it flushes all families.
  size_t write_buffers_bytes = 256 << 20;
  // One family's write buffer; reaching it flushes all families.
  size_t family_write_buffer_bytes = 64 << 20;
  // RocksDB's own threads for flushes and compactions.
  int background_jobs = 2;
  // What compactions may write a second; 0 is no limit.
  uint64_t compaction_bytes_per_second = 0;
};

class RocksEngine final : public Engine {
 public:
  // Errors: DataLoss if it holds what RocksDB cannot read, or not all of it; Internal if it cannot
  //         be used or is locked by another process. The text names it.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const RocksOptions& options);

  // Does not flush: what was not flushed is replayed from the log.
  ~RocksEngine() override;

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
  absl::Status CheckFiles() const override;
  void Retire() override;
  absl::Status Checkpoint(const std::string& directory) override;
  uint64_t PhysicalBytes() const override;

  // The open database; views share it.
  class Database;

 private:
  explicit RocksEngine(std::shared_ptr<Database> database);

  const std::shared_ptr<Database> database_;
};

}  // namespace store
