// SPDX-License-Identifier: Apache-2.0

#include "server/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "glog/logging.h"

namespace server {
namespace {

absl::Status Refused(const std::string& path, int reason) {
  const std::string text = absl::StrCat("data directory ", path, ": ", strerror(reason));
  switch (reason) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOTDIR:
    case ENOENT:
      return absl::FailedPreconditionError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::Status MakeDirectory(const std::string& path) {
  // Only its owner: it holds all that clients wrote.
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Refused(path, errno);
  struct stat facts = {};
  if (stat(path.c_str(), &facts) != 0) return Refused(path, errno);
  if (!S_ISDIR(facts.st_mode)) return Refused(path, ENOTDIR);
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) return Refused(path, errno);
  return absl::OkStatus();
}

// The directory's name itself must survive a crash, or the member would come back without memory.
absl::Status SyncParent(const std::string& path) {
  const int fd = open((path + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Refused(path, errno);
  const int failure = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return failure == 0 ? absl::OkStatus() : Refused(path, failure);
}

// A new member writes two log segments ahead and makes two databases; one that was there before
// needs no more than a little to say what it does. With less, a start would serve for a moment and
// then end in the middle of a write.
constexpr uint64_t kFreeBytesForANewMember = 192 << 20;
constexpr uint64_t kFreeBytesToGoOn = 8 << 20;

absl::Status CheckFreeSpace(const std::string& path) {
  struct statvfs facts = {};
  if (statvfs(path.c_str(), &facts) != 0) return Refused(path, errno);
  const bool is_new = access((path + "/log").c_str(), F_OK) != 0;
  const uint64_t wanted = is_new ? kFreeBytesForANewMember : kFreeBytesToGoOn;
  const uint64_t free_bytes = uint64_t{facts.f_bavail} * facts.f_frsize;
  if (free_bytes >= wanted) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "data directory ", path, ": the disk has ", free_bytes >> 20, " MiB left; a member needs ",
      wanted >> 20, " MiB to start here. Nothing is lost: make room and start again"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Open(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectory(path));
  RETURN_IF_ERROR(CheckFreeSpace(path));
  RETURN_IF_ERROR(SyncParent(path));
  const int fd = open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Refused(path, errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    close(fd);
    if (reason != EWOULDBLOCK) return Refused(path, reason);
    return absl::UnavailableError(
        absl::StrCat("data directory ", path, " is in use by a running member"));
  }
  return std::unique_ptr<DataDir>(new DataDir(path, fd));
}

DataDir::~DataDir() { close(lock_fd_); }

std::string DataDir::state(uint64_t number) const { return absl::StrCat(path_, "/state-", number); }

void DataDir::RemoveAll(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  LOG_IF(WARNING, static_cast<bool>(error))
      << directory << " cannot be removed: " << error.message();
}

void DataDir::RemoveOtherStates(uint64_t number) const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("state-", 0) != 0 || entry.path().string() == state(number)) continue;
    LOG(INFO) << "removes " << entry.path().string() << ", which is not in use";
    RemoveAll(entry.path().string());
  }
}

}  // namespace server
