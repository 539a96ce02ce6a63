// SPDX-License-Identifier: Apache-2.0
//
// sorted_spool.h: sorts any number of keys by their revision, in bounded memory and on the disk.
//
// Threads: one.
// Errors:  what the disk says.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "store/keys.h"

namespace store {

class SortedSpool {
 public:
  struct Item {
    Revision revision;
    uint32_t value_bytes = 0;
    std::string key;
  };
  // False ends the walk.
  using Visit = absl::FunctionRef<absl::StatusOr<bool>(const Item&)>;

  // The file at `path` is made when it is needed, and has no name from then on.
  SortedSpool(base::FileSystem* files, std::string path, size_t run_bytes = 8 << 20)
      : files_(files), path_(std::move(path)), run_bytes_(run_bytes) {}

  absl::Status Add(Item item);
  // Nothing may be added behind it.
  absl::Status Finish();
  // In the order of the revisions; as often as wanted.
  absl::Status ForEach(Visit visit) const;

 private:
  class RunReader;
  struct Run {
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  absl::Status Spill();

  base::FileSystem* const files_;
  const std::string path_;
  const size_t run_bytes_;
  std::vector<Item> items_;
  size_t items_bytes_ = 0;
  std::unique_ptr<base::File> file_;
  uint64_t written_ = 0;
  std::vector<Run> runs_;
};

}  // namespace store
