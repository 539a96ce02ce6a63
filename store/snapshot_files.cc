// SPDX-License-Identifier: Apache-2.0

#include "store/snapshot_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"

namespace store {
namespace {

constexpr size_t kReadBytes = 1 << 20;

// A name of a file in one directory, and nothing that leads out of it.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

absl::StatusOr<SnapshotFile> Describe(base::FileSystem* files, const std::string& directory,
                                      const std::string& name) {
  SnapshotFile described;
  described.name = name;
  ASSIGN_OR_RETURN(const auto file, files->Open(absl::StrCat(directory, "/", name), false));
  while (true) {
    ASSIGN_OR_RETURN(const std::string bytes, file->ReadAt(described.length, kReadBytes));
    if (bytes.empty()) return described;
    described.length += bytes.size();
    described.crc = base::Crc32c(bytes, described.crc);
  }
}

absl::Status RemoveFiles(base::FileSystem* files, const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(directory));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(files->Remove(absl::StrCat(directory, "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SnapshotFile>> ListSnapshotFiles(base::FileSystem* files,
                                                            const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(directory));
  std::vector<SnapshotFile> described;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(SnapshotFile file, Describe(files, directory, name));
    described.push_back(std::move(file));
  }
  return described;
}

absl::StatusOr<std::unique_ptr<SnapshotStaging>> SnapshotStaging::Begin(
    base::FileSystem* files, const std::string& directory, std::vector<SnapshotFile> manifest) {
  if (manifest.empty()) return absl::InvalidArgumentError("a snapshot of no files");
  for (size_t i = 0; i < manifest.size(); ++i) {
    if (!IsPlainName(manifest[i].name)) {
      return absl::InvalidArgumentError("a snapshot with a file that has no plain name");
    }
    if (i > 0 && manifest[i].name <= manifest[i - 1].name) {
      return absl::InvalidArgumentError("a snapshot whose files are not in order");
    }
  }
  RETURN_IF_ERROR(files->MakeDirectory(directory));
  RETURN_IF_ERROR(RemoveFiles(files, directory));
  auto staging =
      std::unique_ptr<SnapshotStaging>(new SnapshotStaging(files, directory, std::move(manifest)));
  RETURN_IF_ERROR(staging->OpenNext());
  return staging;
}

SnapshotStaging::~SnapshotStaging() {
  file_.reset();
  // What cannot be removed now is removed by the next one's Begin.
  if (!released_) RemoveFiles(files_, directory_).IgnoreError();
}

absl::Status SnapshotStaging::OpenNext() {
  while (current_ < manifest_.size()) {
    const std::string path = absl::StrCat(directory_, "/", manifest_[current_].name);
    ASSIGN_OR_RETURN(file_, files_->Open(path, true));
    written_ = 0;
    crc_ = 0;
    if (manifest_[current_].length > 0) return absl::OkStatus();
    RETURN_IF_ERROR(CloseCurrent());
  }
  return absl::OkStatus();
}

absl::Status SnapshotStaging::CloseCurrent() {
  if (crc_ != manifest_[current_].crc) {
    return absl::DataLossError(absl::StrCat("snapshot: ", manifest_[current_].name,
                                            " came with other bytes than were announced"));
  }
  RETURN_IF_ERROR(file_->Sync());
  file_.reset();
  ++current_;
  return absl::OkStatus();
}

absl::Status SnapshotStaging::Write(size_t file, uint64_t offset, std::string_view bytes) {
  if (file != current_ || file >= manifest_.size() || offset != written_ ||
      bytes.size() > manifest_[current_].length - written_) {
    return absl::InvalidArgumentError("a piece of a snapshot that is not the next one");
  }
  RETURN_IF_ERROR(file_->WriteAt(offset, bytes));
  written_ += bytes.size();
  crc_ = base::Crc32c(bytes, crc_);
  if (written_ < manifest_[current_].length) return absl::OkStatus();
  RETURN_IF_ERROR(CloseCurrent());
  return OpenNext();
}

absl::Status SnapshotStaging::Finish() {
  if (current_ < manifest_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a snapshot that ends before ", manifest_[current_].name, " is whole"));
  }
  return files_->SyncDirectory(directory_);
}

}  // namespace store
