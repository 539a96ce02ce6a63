// SPDX-License-Identifier: Apache-2.0
//
// simulated_file.h: files in memory that lose what was not synced, as a disk does when the power
// goes.
//
// Threads: one.

#pragma once

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

class SimulatedFileSystem final : public FileSystem {
 public:
  SimulatedFileSystem() = default;

  // Sectors that were written and not synced are lost, kept, torn or zeroed, each for itself;
  // names that were not synced stay or go together. Every open File is dead.
  void LosePower(Random* random);

  // The process dies, the kernel lives: all that was written stays, synced or not.
  void KillProcess();

  // The power goes at the `operations`-th write or sync from now; 0 takes that back.
  void LosePowerAfter(uint64_t operations) { operations_left_ = operations; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, bool create) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;

  // Changes the bytes of a file behind everybody's back, as a bad disk does.
  void Corrupt(const std::string& path, uint64_t offset, std::string_view bytes);

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

  void CountOperation();

  Names names_;
  Names durable_names_;
  uint64_t operations_left_ = 0;
  uint64_t sync_count_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace base
