// SPDX-License-Identifier: Apache-2.0
//
// file.h: files as the durability path needs them: written at an offset, synced, read back.
//
// Two bodies: PosixFileSystem, and SimulatedFileSystem (simulated_file.h), which loses what was
// not synced. Names are paths.
// Threads: a File may be read by any thread while one thread writes it.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace base {

class File {
 public:
  virtual ~File() = default;

  // Writes all of `bytes` at `offset`, growing the file if need be.
  virtual absl::Status WriteAt(uint64_t offset, std::string_view bytes) = 0;

  // Promises: the data written before, and the size, are on the disk when it returns OK
  // (fdatasync). After an error nothing is known; the caller must not try again: the kernel
  // has marked the pages clean (DESIGN.md, rule 5).
  virtual absl::Status Sync() = 0;

  // Up to `length` bytes from `offset`; fewer at the end of the file.
  virtual absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t length) const = 0;

  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Opens for reading and writing; makes the file if `create`, which needs SyncDirectory to last.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, bool create) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;

  // The names in a directory, ascending, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // OK too if it is there already.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  // Makes creations, renames and removals in `directory` durable.
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;
};

// The kernel's files. Threads: any.
class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, bool create) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;
};

}  // namespace base
