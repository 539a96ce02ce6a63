// SPDX-License-Identifier: Apache-2.0
//
// snapshot_files.h: a whole state as files that go from one member to another: what is in it, and
// the place where it comes together again.
//
// Threads: one. Errors: DataLoss for bytes that are not those of the manifest, InvalidArgument for
//          a manifest or piece that cannot be, what the disk says for the rest.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"

namespace store {

struct SnapshotFile {
  std::string name;
  uint64_t length = 0;
  uint32_t crc = 0;  // CRC-32C of all of it
};

// The files of a checkpoint, ascending by name. Reads all of them.
absl::StatusOr<std::vector<SnapshotFile>> ListSnapshotFiles(base::FileSystem* files,
                                                            const std::string& directory);

// A directory that fills with the files of a manifest, in its order and from front to back, so
// that each is checked while it is written.
class SnapshotStaging {
 public:
  // Makes `directory`, empty.
  static absl::StatusOr<std::unique_ptr<SnapshotStaging>> Begin(base::FileSystem* files,
                                                                const std::string& directory,
                                                                std::vector<SnapshotFile> manifest);
  // Removes the directory unless it was released.
  ~SnapshotStaging();
  SnapshotStaging(const SnapshotStaging&) = delete;
  SnapshotStaging& operator=(const SnapshotStaging&) = delete;

  // The next bytes. Errors: InvalidArgument if they are not the next.
  absl::Status Write(size_t file, uint64_t offset, std::string_view bytes);

  // Promises: every file of the manifest is there, whole and durable.
  absl::Status Finish();

  // The directory is somebody else's from here on.
  void Release() { released_ = true; }

 private:
  SnapshotStaging(base::FileSystem* files, std::string directory,
                  std::vector<SnapshotFile> manifest)
      : files_(files), directory_(std::move(directory)), manifest_(std::move(manifest)) {}

  // Opens the file that is next, and those without a byte before it.
  absl::Status OpenNext();
  absl::Status CloseCurrent();

  base::FileSystem* const files_;
  const std::string directory_;
  const std::vector<SnapshotFile> manifest_;
  bool released_ = false;

  size_t current_ = 0;  // in manifest_
  std::unique_ptr<base::File> file_;
  uint64_t written_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace store
