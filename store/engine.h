// SPDX-License-Identifier: Apache-2.0
//
// engine.h: ordered bytes in families, what the state is kept in.
//
// Two bodies: rocks_engine, which users run, and memory_engine, for the simulator and as the
// model that RocksDB is tested against. Nothing here knows of versions.
//
// Durability: a write is in memory until the next flush, which takes all families together.
// After a crash the engine stands at a flush it has finished: every batch up to some batch, whole,
// in all families alike, and none after it. The Raft log writes the rest again.
// Threads: any may read, write, flush and drop; writers must not race for the same key.
// Errors:  a write or flush that the disk refuses ends the process (DESIGN.md, rule 5). What was
//          once written and is not there, or not the same, is DataLoss: a read that meets it
//          returns that, and the engine is of no use from then on (damage()).

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace store {

// The column families (DESIGN.md, section 5).
enum class Family : uint8_t {
  kDatum,
  kDeleted,
  kRevision,
  kKept,
  kPresence,
  kLease,
  kLeaseKey,
  kAuth,
  kApplied,
};
inline constexpr size_t kFamilyCount = 9;

constexpr size_t FamilyNumber(Family family) { return static_cast<size_t>(family); }
// The name on disk.
const char* FamilyName(Family family);

// Walks one family in the order of its keys' bytes. Must not outlive the reader it came from.
// Threads: one at a time.
class Cursor {
 public:
  virtual ~Cursor() = default;

  // Goes to the first record at or after `target` and below the cursor's bound.
  virtual void Seek(std::string_view target) = 0;
  // Requires: Valid().
  virtual void Next() = 0;
  // False at the end, and after an error, which status() then tells.
  virtual bool Valid() const = 0;
  // The views live until the next Seek or Next. Requires: Valid().
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual absl::Status status() const = 0;
};

// Calls with the value's bytes, which live as long as the call.
using OnValue = absl::FunctionRef<void(std::string_view)>;

// Something that can be read: an engine's newest state, a view, or writes that are pending.
// Threads: any.
class Reader {
 public:
  virtual ~Reader() = default;

  // Calls `on_value` and returns true if there is a record under `key`.
  virtual absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const = 0;
  // Over the keys below `upper_bound`, over all if it is empty. Stands nowhere before a Seek.
  virtual std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const = 0;
};

// One write of a batch. The views must live until Write returns.
struct WriteOperation {
  Family family = Family::kDatum;
  bool is_delete = false;
  std::string_view key;
  std::string_view value;
};

class Engine : public Reader {
 public:
  // Applies `operations` in their order, all or none of them. Not durable before a flush.
  // Does nothing once there is damage.
  virtual void Write(std::span<const WriteOperation> operations) = 0;

  // The state as it is now, unmoved by later writes. Drops do reach into it.
  // May outlive the engine object, not the directory.
  virtual std::shared_ptr<const Reader> NewView() const = 0;

  // Promises: what was written before survives a crash from here on, unless there is damage.
  virtual void Flush() = 0;

  // DataLoss once a write, a flush or work in the background has met it. Reads do not set it.
  virtual absl::Status damage() const = 0;
  // DataLoss if a file that the state lies in is shorter than it was written. Looks at all of them.
  virtual absl::Status CheckFiles() const { return absl::OkStatus(); }

  // Another engine takes its place: work in the background ends, flushes do nothing, and its files
  // may go. Views and cursors that are there may still be read.
  virtual void Retire() = 0;

  // As Get, of what would be there if the process ended now.
  virtual absl::StatusOr<bool> GetPersisted(Family family, std::string_view key,
                                            OnValue on_value) const = 0;

  // From now on a record of `family` whose key (whose value) is below `bound` may vanish: now,
  // later or never; from views too, and it may come back after a crash. Bounds only grow; a new
  // engine object has none.
  // Requires: whatever makes these records superfluous has been flushed.
  virtual void DropKeysBelow(Family family, std::string_view bound) = 0;
  virtual void DropValuesBelow(Family family, std::string_view bound) = 0;

  // Flushes, and makes a copy of the state in `directory`, which must not exist.
  virtual absl::Status Checkpoint(const std::string& directory) = 0;

  // What the state takes on the disk and in write buffers.
  virtual uint64_t PhysicalBytes() const = 0;
};

}  // namespace store
