// SPDX-License-Identifier: Apache-2.0

#include "base/simulated_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace base {
namespace {

constexpr size_t kSectorBytes = 512;

void WriteInto(std::string* content, uint64_t offset, std::string_view bytes) {
  if (content->size() < offset + bytes.size()) content->resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), content->begin() + static_cast<ptrdiff_t>(offset));
}

// What is left of one sector of a write that was under way.
void WriteSectorByChance(Random* random, bool atomic, std::string* content, uint64_t offset,
                         std::string_view sector) {
  switch (random->Below(4)) {
    case 0:  // lost
      return;
    case 1:  // kept
      return WriteInto(content, offset, sector);
    case 2:  // torn at a word
      if (atomic) return;
      return WriteInto(content, offset, sector.substr(0, random->Below(sector.size() / 8 + 1) * 8));
    default:  // zeroed
      return WriteInto(content, offset, std::string(sector.size(), '\0'));
  }
}

bool IsIn(const std::string& directory, const std::string& path) {
  return path.size() > directory.size() && path[directory.size()] == '/' &&
         path.compare(0, directory.size(), directory) == 0;
}

}  // namespace

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedFileSystem* files, std::string path,
                std::shared_ptr<SimulatedFileSystem::Inode> inode)
      : files_(files), path_(std::move(path)), inode_(std::move(inode)) {}

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    RETURN_IF_ERROR(files_->Try(DiskOperation::kWrite, files_->faults_.write_error, path_));
    const std::string_view fits = bytes.substr(0, RoomAt(offset, bytes.size()));
    inode_->unsynced.push_back({offset, std::string(fits)});
    WriteInto(&inode_->current, offset, fits);
    files_->CountOperation();
    if (fits.size() < bytes.size()) {
      return absl::ErrnoToStatus(ENOSPC, absl::StrCat("write ", path_));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    const absl::Status status =
        files_->Try(DiskOperation::kSync, files_->faults_.sync_error, path_);
    files_->CountOperation();
    if (status.ok()) {
      for (const auto& write : inode_->unsynced) {
        WriteInto(&inode_->durable, write.offset, write.bytes);
      }
      ++files_->sync_count_;
    }
    inode_->unsynced.clear();
    return status;
  }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t length) const override {
    RETURN_IF_ERROR(files_->Try(DiskOperation::kRead, files_->faults_.read_error, path_));
    if (offset >= inode_->current.size()) return std::string();
    length = std::min<size_t>(length, inode_->current.size() - offset);
    if (files_->faults_.bit_flip > 0) {
      for (uint64_t sector = offset / kSectorBytes; sector * kSectorBytes < offset + length;
           ++sector) {
        if (!files_->Chance(files_->faults_.bit_flip)) continue;
        files_->FlipBit(path_, inode_.get(), sector, &files_->fault_random_);
      }
    }
    if (length > 0 && files_->Chance(files_->faults_.short_read)) {
      length = files_->fault_random_.Below(length);
    }
    files_->bytes_read_ += length;
    return inode_->current.substr(offset, length);
  }

  absl::StatusOr<uint64_t> Size() const override { return inode_->current.size(); }

 private:
  size_t RoomAt(uint64_t offset, size_t length) const {
    if (files_->quota_bytes_ == std::numeric_limits<uint64_t>::max()) return length;
    const uint64_t size = inode_->current.size();
    const uint64_t others = files_->used_bytes() - size;
    const uint64_t end_max =
        std::max(size, files_->quota_bytes_ > others ? files_->quota_bytes_ - others : 0);
    return end_max <= offset ? 0 : std::min<uint64_t>(length, end_max - offset);
  }

  SimulatedFileSystem* const files_;
  const std::string path_;
  const std::shared_ptr<SimulatedFileSystem::Inode> inode_;
};

void SimulatedFileSystem::CountOperation() {
  if (operations_left_ == 0) return;
  if (--operations_left_ == 0) throw PowerLoss{};
}

absl::Status SimulatedFileSystem::Try(DiskOperation operation, double error_chance,
                                      const std::string& path) {
  if (on_operation_) RETURN_IF_ERROR(on_operation_(operation, path));
  if (!Chance(error_chance)) return absl::OkStatus();
  return absl::ErrnoToStatus(EIO, path);
}

void SimulatedFileSystem::set_faults(const DiskFaults& faults, uint64_t seed) {
  faults_ = faults;
  fault_random_ = Random(seed);
}

uint64_t SimulatedFileSystem::used_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, inode] : names_) bytes += inode->current.size();
  return bytes;
}

void SimulatedFileSystem::KeepNamesByChance(Random* random) {
  const uint64_t mode = random->Below(3);
  for (const NameChange& change : unsynced_names_) {
    if (mode == 1 || (mode == 2 && random->Chance(0.5))) Do(change, &durable_names_);
  }
  unsynced_names_.clear();
  names_ = durable_names_;
}

void SimulatedFileSystem::LosePower(Random* random) {
  operations_left_ = 0;
  KeepNamesByChance(random);
  for (auto& [path, inode] : names_) {
    for (const Write& write : inode->unsynced) {
      for (uint64_t at = 0; at < write.bytes.size(); at += kSectorBytes) {
        WriteSectorByChance(random, sectors_atomic_, &inode->durable, write.offset + at,
                            std::string_view(write.bytes).substr(at, kSectorBytes));
      }
    }
    inode->unsynced.clear();
    inode->current = inode->durable;
  }
}

void SimulatedFileSystem::KillProcess() { operations_left_ = 0; }

void SimulatedFileSystem::Do(const NameChange& change, Names* names) {
  if (!change.gone.empty()) names->erase(change.gone);
  if (!change.come.empty()) (*names)[change.come] = change.inode;
}

void SimulatedFileSystem::Change(NameChange change) {
  Do(change, &names_);
  unsynced_names_.push_back(std::move(change));
}

absl::StatusOr<std::unique_ptr<File>> SimulatedFileSystem::Open(const std::string& path,
                                                                bool create) {
  const auto found = names_.find(path);
  std::shared_ptr<Inode> inode = found == names_.end() ? nullptr : found->second;
  if (inode == nullptr) {
    if (!create) return absl::NotFoundError(absl::StrCat("open ", path));
    inode = std::make_shared<Inode>();
    Change({"", path, inode});
  }
  return std::make_unique<SimulatedFile>(this, path, std::move(inode));
}

absl::Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError(absl::StrCat("rename ", from));
  Change({from, to, found->second});
  return absl::OkStatus();
}

absl::Status SimulatedFileSystem::Remove(const std::string& path) {
  if (!names_.contains(path)) return absl::NotFoundError(absl::StrCat("remove ", path));
  Change({path, "", nullptr});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SimulatedFileSystem::List(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (IsIn(directory, path)) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

absl::Status SimulatedFileSystem::MakeDirectory(const std::string&) { return absl::OkStatus(); }

absl::Status SimulatedFileSystem::SyncDirectory(const std::string& directory) {
  RETURN_IF_ERROR(Try(DiskOperation::kSyncDirectory, faults_.sync_error, directory));
  CountOperation();
  std::erase_if(unsynced_names_, [&](const NameChange& change) {
    if (!IsIn(directory, change.gone) && !IsIn(directory, change.come)) return false;
    Do(change, &durable_names_);
    return true;
  });
  return absl::OkStatus();
}

void SimulatedFileSystem::Corrupt(const std::string& path, uint64_t offset,
                                  std::string_view bytes) {
  const std::shared_ptr<Inode>& inode = names_.at(path);
  WriteInto(&inode->current, offset, bytes);
  WriteInto(&inode->durable, offset, bytes);
}

void SimulatedFileSystem::FlipBit(const std::string& path, Inode* inode, uint64_t sector,
                                  Random* random) {
  const uint64_t start = sector * kSectorBytes;
  const uint64_t length = std::min<uint64_t>(kSectorBytes, inode->current.size() - start);
  const uint64_t at = start + random->Below(length);
  const char bit = static_cast<char>(1 << random->Below(8));
  inode->current[at] = static_cast<char>(inode->current[at] ^ bit);
  if (at < inode->durable.size()) {
    inode->durable[at] = static_cast<char>(inode->durable[at] ^ bit);
  }
  flips_.push_back({path, at});
}

std::vector<SimulatedFileSystem::Flip> SimulatedFileSystem::FlipBits(const std::string& directory,
                                                                     double chance,
                                                                     Random* random) {
  const size_t before = flips_.size();
  for (auto& [path, inode] : names_) {
    if (!IsIn(directory, path)) continue;
    const size_t last_used = inode->durable.find_last_not_of('\0');
    if (last_used == std::string::npos) continue;
    for (uint64_t sector = 0; sector * kSectorBytes <= last_used; ++sector) {
      if (random->Chance(chance)) FlipBit(path, inode.get(), sector, random);
    }
  }
  return {flips_.begin() + static_cast<ptrdiff_t>(before), flips_.end()};
}

}  // namespace base
