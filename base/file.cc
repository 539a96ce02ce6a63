// SPDX-License-Identifier: Apache-2.0

#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace base {
namespace {

absl::Status ErrnoStatus(const char* operation, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(operation, " ", path));
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { close(descriptor_); }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written =
          pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus("write", path_);
      }
      bytes.remove_prefix(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return fdatasync(descriptor_) == 0 ? absl::OkStatus() : ErrnoStatus("fdatasync", path_);
  }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t length) const override {
    std::string bytes(length, '\0');
    size_t filled = 0;
    while (filled < length) {
      const ssize_t got = pread(descriptor_, bytes.data() + filled, length - filled,
                                static_cast<off_t>(offset + filled));
      if (got < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus("read", path_);
      }
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat status;
    if (fstat(descriptor_, &status) != 0) return ErrnoStatus("stat", path_);
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  const int descriptor_;
  const std::string path_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, bool create) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (descriptor < 0) return ErrnoStatus("open", path);
  return std::make_unique<PosixFile>(descriptor, path);
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("rename", from);
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("remove", path);
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    names.push_back(entries->path().filename().string());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("list ", directory));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status PosixFileSystem::MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  struct stat status;
  if (errno == EEXIST && stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return absl::OkStatus();
  }
  if (errno == EEXIST) errno = ENOTDIR;
  return ErrnoStatus("make directory", path);
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus("open directory", directory);
  const bool synced = fsync(descriptor) == 0;
  absl::Status status = synced ? absl::OkStatus() : ErrnoStatus("fsync directory", directory);
  close(descriptor);
  return status;
}

}  // namespace base
