// SPDX-License-Identifier: Apache-2.0

#include "base/simulated_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace base {
namespace {

constexpr size_t kSectorBytes = 512;

void WriteInto(std::string* content, uint64_t offset, std::string_view bytes) {
  if (content->size() < offset + bytes.size()) content->resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), content->begin() + static_cast<ptrdiff_t>(offset));
}

// What is left of one sector of a write that was under way.
void WriteSectorByChance(Random* random, std::string* content, uint64_t offset,
                         std::string_view sector) {
  switch (random->Below(4)) {
    case 0:  // lost
      return;
    case 1:  // kept
      return WriteInto(content, offset, sector);
    case 2:  // torn at a word
      return WriteInto(content, offset, sector.substr(0, random->Below(sector.size() / 8 + 1) * 8));
    default:  // zeroed
      return WriteInto(content, offset, std::string(sector.size(), '\0'));
  }
}

}  // namespace

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedFileSystem* files, std::shared_ptr<SimulatedFileSystem::Inode> inode)
      : files_(files), inode_(std::move(inode)) {}

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    inode_->unsynced.push_back({offset, std::string(bytes)});
    WriteInto(&inode_->current, offset, bytes);
    files_->CountOperation();
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    files_->CountOperation();
    for (const auto& write : inode_->unsynced) {
      WriteInto(&inode_->durable, write.offset, write.bytes);
    }
    inode_->unsynced.clear();
    ++files_->sync_count_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t length) const override {
    if (offset >= inode_->current.size()) return std::string();
    std::string bytes = inode_->current.substr(offset, length);
    files_->bytes_read_ += bytes.size();
    return bytes;
  }

  absl::StatusOr<uint64_t> Size() const override { return inode_->current.size(); }

 private:
  SimulatedFileSystem* const files_;
  const std::shared_ptr<SimulatedFileSystem::Inode> inode_;
};

void SimulatedFileSystem::CountOperation() {
  if (operations_left_ == 0) return;
  if (--operations_left_ == 0) throw PowerLoss{};
}

void SimulatedFileSystem::LosePower(Random* random) {
  operations_left_ = 0;
  if (random->Chance(0.5)) {
    names_ = durable_names_;
  } else {
    durable_names_ = names_;
  }
  for (auto& [path, inode] : names_) {
    for (const Write& write : inode->unsynced) {
      for (uint64_t at = 0; at < write.bytes.size(); at += kSectorBytes) {
        WriteSectorByChance(random, &inode->durable, write.offset + at,
                            std::string_view(write.bytes).substr(at, kSectorBytes));
      }
    }
    inode->unsynced.clear();
    inode->current = inode->durable;
  }
}

void SimulatedFileSystem::KillProcess() { operations_left_ = 0; }

absl::StatusOr<std::unique_ptr<File>> SimulatedFileSystem::Open(const std::string& path,
                                                                bool create) {
  auto found = names_.find(path);
  if (found == names_.end()) {
    if (!create) return absl::NotFoundError(absl::StrCat("open ", path));
    found = names_.emplace(path, std::make_shared<Inode>()).first;
  }
  return std::make_unique<SimulatedFile>(this, found->second);
}

absl::Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("rename ", from));
  names_[to] = found->second;
  names_.erase(from);
  return absl::OkStatus();
}

absl::Status SimulatedFileSystem::Remove(const std::string& path) {
  if (names_.erase(path) == 0) return absl::NotFoundError(absl::StrCat("remove ", path));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SimulatedFileSystem::List(const std::string& directory) {
  const std::string prefix = absl::StrCat(directory, "/");
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (path.compare(0, prefix.size(), prefix) == 0) names.push_back(path.substr(prefix.size()));
  }
  return names;
}

absl::Status SimulatedFileSystem::MakeDirectory(const std::string&) { return absl::OkStatus(); }

absl::Status SimulatedFileSystem::SyncDirectory(const std::string&) {
  CountOperation();
  durable_names_ = names_;
  return absl::OkStatus();
}

void SimulatedFileSystem::Corrupt(const std::string& path, uint64_t offset,
                                  std::string_view bytes) {
  const std::shared_ptr<Inode>& inode = names_.at(path);
  WriteInto(&inode->current, offset, bytes);
  WriteInto(&inode->durable, offset, bytes);
}

}  // namespace base
