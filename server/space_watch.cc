// SPDX-License-Identifier: Apache-2.0

#include "server/space_watch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "glog/logging.h"

namespace server {
namespace {

constexpr char kHeldName[] = "reserve";
constexpr char kLowName[] = "reserve.low";
// The hard watermark is this part of the soft one.
constexpr uint64_t kHardPart = 4;
// Space is back when there is a quarter more than the soft watermark: else the alarm would flutter.
constexpr uint64_t kBackQuarters = 5;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

int64_t MebiBytes(uint64_t bytes) { return static_cast<int64_t>(bytes >> 20); }

}  // namespace

absl::StatusOr<DiskSpace> ReadDiskSpace(const std::string& directory) {
  struct statvfs found = {};
  if (statvfs(directory.c_str(), &found) != 0) {
    return absl::InternalError(absl::StrCat("statvfs ", directory, ": ", strerror(errno)));
  }
  return DiskSpace{found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize};
}

SpaceWatch::SpaceWatch(SpaceWatchOptions options, ReadSpace read_space)
    : options_(std::move(options)), read_space_(std::move(read_space)) {
  reserve_ = Exists(path(kHeldName))  ? Reserve::kHeld
             : Exists(path(kLowName)) ? Reserve::kHeldLow
                                      : Reserve::kGivenUp;
  // A directory that has never been watched has none either; if there is room, the first look
  // takes the reserve.
  low_ = reserve_ != Reserve::kHeld;
  alarm_is_ours_ = low_;
}

absl::Status SpaceWatch::Look() {
  ASSIGN_OR_RETURN(const DiskSpace space, read_space_());
  const uint64_t soft = std::min(options_.min_free_bytes, space.all_bytes / 20);
  const uint64_t reserve_bytes = std::min(options_.reserve_bytes, space.all_bytes / 50);
  const uint64_t to_take = reserve_ == Reserve::kGivenUp ? reserve_bytes : 0;
  if (!low_ && space.free_bytes < soft) BecomeLow(space.free_bytes);
  if (low_ && space.free_bytes < soft / kHardPart) GiveUpReserve(space.free_bytes);
  if (low_ && space.free_bytes >= soft * kBackQuarters / 4 + to_take &&
      (reserve_ != Reserve::kGivenUp || TakeReserve(reserve_bytes))) {
    BecomeWell(space.free_bytes);
  }
  return absl::OkStatus();
}

void SpaceWatch::BecomeLow(uint64_t free_bytes) {
  LOG(WARNING) << options_.directory << ": only " << MebiBytes(free_bytes)
               << " MiB are free on this disk: the NOSPACE alarm is raised and puts are refused "
                  "until there is room again; reads and deletes go on";
  low_ = true;
  alarm_is_ours_ = true;
  // A rename needs no space.
  if (reserve_ == Reserve::kHeld && rename(path(kHeldName).c_str(), path(kLowName).c_str()) == 0) {
    reserve_ = Reserve::kHeldLow;
  }
}

void SpaceWatch::GiveUpReserve(uint64_t free_bytes) {
  if (reserve_ == Reserve::kGivenUp) return;
  LOG(WARNING) << options_.directory << ": " << MebiBytes(free_bytes)
               << " MiB are free on this disk: the reserve is given up, so that the log can go on";
  unlink(path(kLowName).c_str());
  unlink(path(kHeldName).c_str());
  reserve_ = Reserve::kGivenUp;
}

bool SpaceWatch::TakeReserve(uint64_t bytes) {
  const int fd = open(path(kLowName).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool taken = bytes == 0 || posix_fallocate(fd, 0, static_cast<off_t>(bytes)) == 0;
  close(fd);
  if (!taken) unlink(path(kLowName).c_str());
  if (taken) reserve_ = Reserve::kHeldLow;
  return taken;
}

void SpaceWatch::BecomeWell(uint64_t free_bytes) {
  if (rename(path(kLowName).c_str(), path(kHeldName).c_str()) != 0) return;
  reserve_ = Reserve::kHeld;
  low_ = false;
  LOG(INFO) << options_.directory << ": " << MebiBytes(free_bytes) << " MiB are free on this disk";
}

}  // namespace server
