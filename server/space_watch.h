// SPDX-License-Identifier: Apache-2.0
//
// space_watch.h: sees the disk fill up before it is full.
//
// Below the soft watermark this member raises the NOSPACE alarm, on which the cluster takes no more
// puts, and hands leadership over. Below the hard one it gives up a reserve, a file that was
// allocated for this, so that the log can go on with what frees space again: deletes, compactions
// and the alarm's own end. When there is room again the reserve is taken back and the alarm, if
// this watch raised it, cleared.
//
// The reserve's name says across restarts how it stands: `reserve`: all is well; `reserve.low`: the
// alarm is this watch's; neither: the reserve is given up.
//
// Threads: one.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace server {

struct SpaceWatchOptions {
  // The data directory.
  std::string directory;
  // The soft watermark; on a small file system a twentieth of it, if that is less.
  uint64_t min_free_bytes = 256 << 20;
  // On a small file system a fiftieth of it, if that is less.
  uint64_t reserve_bytes = 64 << 20;
};

// Of the file system below the data directory.
struct DiskSpace {
  uint64_t free_bytes = 0;
  uint64_t all_bytes = 0;
};
absl::StatusOr<DiskSpace> ReadDiskSpace(const std::string& directory);

class SpaceWatch {
 public:
  using ReadSpace = std::function<absl::StatusOr<DiskSpace>()>;

  SpaceWatch(SpaceWatchOptions options, ReadSpace read_space);

  // Looks at the disk, and keeps the reserve. Errors: what reading the disk's space returns.
  absl::Status Look();

  // What the last look found: this member's NOSPACE alarm should be raised.
  bool low() const { return low_; }
  // The alarm, if there is one, was raised by this watch, which therefore clears it.
  bool alarm_is_ours() const { return alarm_is_ours_; }
  // The alarm is gone, so it is no longer this watch's.
  void AlarmCleared() { alarm_is_ours_ = false; }

 private:
  // How much of the reserve the disk holds now.
  enum class Reserve { kHeld, kHeldLow, kGivenUp };

  void BecomeLow(uint64_t free_bytes);
  void BecomeWell(uint64_t free_bytes);
  void GiveUpReserve(uint64_t free_bytes);
  bool TakeReserve(uint64_t bytes);
  std::string path(const char* name) const { return options_.directory + "/" + name; }

  const SpaceWatchOptions options_;
  const ReadSpace read_space_;
  Reserve reserve_;
  bool low_;
  bool alarm_is_ours_;
};

}  // namespace server
