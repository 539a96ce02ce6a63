// SPDX-License-Identifier: Apache-2.0
//
// simulated_file.h: files in memory that fail as disks do: what was not synced goes with the
// power, bits rot, reads, writes and syncs are refused, the disk is full.
//
// Threads: one.

#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"

namespace base {

// Thrown out of a write or sync at which the power was to go; the simulator catches it and
// throws the whole node away.
struct PowerLoss {};

enum class DiskOperation : uint8_t { kRead, kWrite, kSync, kSyncDirectory };

// The chances of what goes wrong by itself, each for one operation. All zero: nothing does.
struct DiskFaults {
  // EIO. A sync that is refused has dropped what it was to write and reports it clean the next
  // time, as Linux does (ATC'20 "Can applications recover from fsync failures?").
  double read_error = 0;
  double write_error = 0;
  double sync_error = 0;
  // The read gives fewer bytes than there are.
  double short_read = 0;
  // For each sector that is read: one of its bits has turned over, for good.
  double bit_flip = 0;
};

class SimulatedFileSystem final : public FileSystem {
 public:
  // A byte that is no longer what was written.
  struct Flip {
    std::string path;
    uint64_t offset = 0;
  };
  // Asked before an operation is done; an error is what the operation returns (and a sync has
  // then dropped its data). The simulator counts stalls and keeps its fault atlas by it.
  using OnOperation = std::function<absl::Status(DiskOperation, const std::string& path)>;

  SimulatedFileSystem() = default;

  // Sectors that were written and not synced are lost, kept, torn or zeroed, each for itself;
  // names that were not synced stay or go, all together or each for itself. Every open File is
  // dead.
  void LosePower(Random* random);

  // The process dies, the kernel lives: all that was written stays, synced or not.
  void KillProcess();

  // The power goes at the `operations`-th write or sync from now; 0 takes that back.
  void LosePowerAfter(uint64_t operations) { operations_left_ = operations; }

  // A sector is never torn inside: it is written or not, as real disks promise.
  void set_sectors_atomic(bool atomic) { sectors_atomic_ = atomic; }

  // From now on; `seed` decides which operations are hit.
  void set_faults(const DiskFaults& faults, uint64_t seed);
  void set_on_operation(OnOperation on_operation) { on_operation_ = std::move(on_operation); }

  // A file that would grow past what all files together may take gets what fits, then ENOSPC.
  void set_quota_bytes(uint64_t bytes) { quota_bytes_ = bytes; }
  uint64_t used_bytes() const;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, bool create) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;

  // Changes the bytes of a file behind everybody's back, as a bad disk does.
  void Corrupt(const std::string& path, uint64_t offset, std::string_view bytes);
  // Turns one bit over in each durable sector of the files under `directory`, each with
  // `chance`; zeros behind the last byte that was used are left alone. Says what it hit.
  std::vector<Flip> FlipBits(const std::string& directory, double chance, Random* random);
  // Every byte that bit_flip or FlipBits has changed.
  const std::vector<Flip>& flips() const { return flips_; }

  uint64_t sync_count() const { return sync_count_; }
  uint64_t bytes_read() const { return bytes_read_; }
  void ResetBytesRead() { bytes_read_ = 0; }

 private:
  friend class SimulatedFile;

  struct Write {
    uint64_t offset;
    std::string bytes;
  };
  struct Inode {
    std::string durable;
    std::string current;
    std::vector<Write> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  // A name that went, a name that came, or both in one step.
  struct NameChange {
    std::string gone;
    std::string come;
    std::shared_ptr<Inode> inode;
  };

  static void Do(const NameChange& change, Names* names);
  void Change(NameChange change);
  void CountOperation();
  // What the hook and the chances make of an operation.
  absl::Status Try(DiskOperation operation, double error_chance, const std::string& path);
  bool Chance(double chance) { return chance > 0 && fault_random_.Chance(chance); }
  void FlipBit(const std::string& path, Inode* inode, uint64_t sector, Random* random);
  void KeepNamesByChance(Random* random);

  Names names_;
  Names durable_names_;
  // Since the last sync of their directory, in order.
  std::vector<NameChange> unsynced_names_;
  uint64_t operations_left_ = 0;
  bool sectors_atomic_ = false;
  DiskFaults faults_;
  Random fault_random_{0};
  OnOperation on_operation_;
  uint64_t quota_bytes_ = std::numeric_limits<uint64_t>::max();
  std::vector<Flip> flips_;
  uint64_t sync_count_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace base
