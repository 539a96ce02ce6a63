// SPDX-License-Identifier: Apache-2.0
//
// data_dir.h: the directory that is this member's: made, checked, and locked while it serves.
//
//   <dir>/lock      locked by the process that serves from it
//   <dir>/meta      what the member promised (RocksDB)
//   <dir>/log       the Raft log's segments
//   <dir>/state-N   what the log builds (RocksDB)
//   <dir>/incoming  a state that is on its way from a peer
//
// Errors: FailedPrecondition, PermissionDenied, Unavailable (locked) or Internal; the text names
//         the directory.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace server {

class DataDir {
 public:
  // Makes the directory if it is missing, and holds its lock until destroyed. The kernel lets the
  // lock go when the process ends, however it ends.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(const std::string& path);
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  const std::string& path() const { return path_; }
  std::string meta() const { return path_ + "/meta"; }
  std::string log() const { return path_ + "/log"; }
  std::string state(uint64_t number) const;
  // Where states come in.
  std::string incoming() const { return path_ + "/incoming"; }

  // Removes the states with another number than this one.
  void RemoveOtherStates(uint64_t number) const;
  // Removes a directory and all that is in it; one that cannot be removed is logged.
  static void RemoveAll(const std::string& directory);

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

  const std::string path_;
  const int lock_fd_;
};

}  // namespace server
