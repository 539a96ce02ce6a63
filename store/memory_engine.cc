// SPDX-License-Identifier: Apache-2.0

#include "store/memory_engine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "glog/logging.h"

namespace store {
namespace {

constexpr uint64_t kNewest = std::numeric_limits<uint64_t>::max();
constexpr size_t kLengthBytes = 4;

void PutLength(std::string* out, size_t length) {
  const auto number = static_cast<uint32_t>(length);
  out->append(reinterpret_cast<const char*>(&number), sizeof number);
}

// Requires: kLengthBytes are there.
size_t GetLength(std::string_view bytes) {
  uint32_t number = 0;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

}  // namespace

// Keeps the current key and value as copies and finds its place again at each step, so that
// writes and drops between two steps cannot hurt it.
class MemoryCursor final : public Cursor {
 public:
  MemoryCursor(std::shared_ptr<MemoryDisk> disk, Family family, std::string_view upper_bound,
               uint64_t batch)
      : disk_(std::move(disk)), family_(family), upper_bound_(upper_bound), batch_(batch) {}

  void Seek(std::string_view target) override {
    std::lock_guard<std::mutex> lock(disk_->mutex_);
    Settle(records().lower_bound(target));
  }

  void Next() override {
    CHECK(valid_);
    std::lock_guard<std::mutex> lock(disk_->mutex_);
    Settle(records().upper_bound(key_));
  }

  bool Valid() const override { return valid_; }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return value_; }
  absl::Status status() const override { return status_; }

 private:
  const MemoryDisk::Records& records() const { return disk_->records_[FamilyNumber(family_)]; }

  void Settle(MemoryDisk::Records::const_iterator at) {
    valid_ = false;
    if (!status_.ok()) return;
    for (; at != records().end(); ++at) {
      if (!upper_bound_.empty() && at->first >= upper_bound_) return;
      const std::string* value = MemoryDisk::ValueAt(at->second, batch_);
      if (value == nullptr) continue;
      status_ = disk_->CheckRecord(family_, at->first);
      if (!status_.ok()) return;
      key_ = at->first;
      value_ = *value;
      valid_ = true;
      return;
    }
  }

  const std::shared_ptr<MemoryDisk> disk_;
  const Family family_;
  const std::string upper_bound_;
  const uint64_t batch_;
  bool valid_ = false;
  std::string key_;
  std::string value_;
  absl::Status status_;
};

class MemoryView final : public Reader {
 public:
  explicit MemoryView(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {
    std::lock_guard<std::mutex> lock(disk_->mutex_);
    batch_ = disk_->last_batch_;
    ++disk_->views_[batch_];
  }
  ~MemoryView() override {
    std::lock_guard<std::mutex> lock(disk_->mutex_);
    const auto at = disk_->views_.find(batch_);
    if (--at->second == 0) disk_->views_.erase(at);
  }
  MemoryView(const MemoryView&) = delete;
  MemoryView& operator=(const MemoryView&) = delete;

  absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const override {
    return GetAt(*disk_, family, key, batch_, on_value);
  }
  std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const override {
    return std::make_unique<MemoryCursor>(disk_, family, upper_bound, batch_);
  }

  static absl::StatusOr<bool> GetAt(const MemoryDisk& disk, Family family, std::string_view key,
                                    uint64_t batch, OnValue on_value) {
    std::string copy;
    {
      std::lock_guard<std::mutex> lock(disk.mutex_);
      const auto& records = disk.records_[FamilyNumber(family)];
      const auto at = records.find(key);
      if (at == records.end()) return false;
      const std::string* value = MemoryDisk::ValueAt(at->second, batch);
      if (value == nullptr) return false;
      const absl::Status whole = disk.CheckRecord(family, key);
      if (!whole.ok()) return whole;
      copy = *value;
    }
    // Outside the lock: the callee may read again.
    on_value(copy);
    return true;
  }

 private:
  const std::shared_ptr<MemoryDisk> disk_;
  uint64_t batch_ = 0;
};

void MemoryDisk::Crash() {
  std::lock_guard<std::mutex> lock(mutex_);
  CHECK(views_.empty()) << "a crash with views open";
  for (Records& records : records_) {
    for (auto at = records.begin(); at != records.end();) {
      Versions& versions = at->second;
      while (!versions.empty() && versions.back().batch > flushed_batch_) versions.pop_back();
      const bool gone = versions.empty() || !versions.back().value.has_value();
      at = gone ? records.erase(at) : std::next(at);
    }
  }
  last_batch_ = flushed_batch_;
  deleted_.clear();
}

void MemoryDisk::Write(std::span<const WriteOperation> operations) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (writes_damaged_) return;
  ++last_batch_;
  for (const WriteOperation& operation : operations) {
    Records& records = records_[FamilyNumber(operation.family)];
    auto at = records.find(operation.key);
    if (at == records.end()) {
      if (operation.is_delete) continue;
      at = records.emplace(std::string(operation.key), Versions()).first;
    }
    Versions& versions = at->second;
    if (versions.empty() || versions.back().batch != last_batch_) {
      versions.push_back({last_batch_, std::nullopt});
    }
    if (operation.is_delete) {
      versions.back().value.reset();
      deleted_.emplace_back(operation.family, std::string(operation.key));
    } else {
      versions.back().value = std::string(operation.value);
    }
    Prune(&versions);
  }
}

void MemoryDisk::Flush() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (writes_damaged_) return;
  flushed_batch_ = last_batch_;
  std::vector<std::pair<Family, std::string>> still_needed;
  for (auto& [family, key] : deleted_) {
    Records& records = records_[FamilyNumber(family)];
    const auto at = records.find(key);
    if (at == records.end() || at->second.back().value.has_value()) continue;
    Prune(&at->second);
    if (at->second.size() == 1) {
      records.erase(at);
    } else {
      still_needed.emplace_back(family, std::move(key));
    }
  }
  deleted_ = std::move(still_needed);
}

absl::Status MemoryDisk::CheckRecord(Family family, std::string_view key) const {
  if (damaged_.empty() || !damaged_.contains(std::pair(family, std::string(key)))) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("a record of family ", FamilyName(family), " is damaged"));
}

void MemoryDisk::DamageKey(Family family, std::string_view key) {
  std::lock_guard<std::mutex> lock(mutex_);
  damaged_.emplace(family, key);
}

bool MemoryDisk::DamageRecord(size_t place) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t family = 0; family < kFamilyCount; ++family) {
    const Records& records = records_[family];
    if (place < records.size()) {
      const auto at = std::next(records.begin(), static_cast<ptrdiff_t>(place));
      damaged_.emplace(static_cast<Family>(family), at->first);
      return true;
    }
    place -= records.size();
  }
  return false;
}

void MemoryDisk::DamageWrites() {
  std::lock_guard<std::mutex> lock(mutex_);
  writes_damaged_ = true;
}

// | crc32c 4 of the rest | records: family 1, key length 4, value length 4, key, value |
std::string MemoryDisk::Export() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::string bytes;
  for (size_t family = 0; family < kFamilyCount; ++family) {
    for (const auto& [key, versions] : records_[family]) {
      const std::string* value = ValueAt(versions, flushed_batch_);
      if (value == nullptr) continue;
      bytes.push_back(static_cast<char>(family));
      PutLength(&bytes, key.size());
      PutLength(&bytes, value->size());
      bytes += key;
      bytes += *value;
    }
  }
  std::string sealed;
  PutLength(&sealed, base::Crc32c(bytes));
  return sealed + bytes;
}

absl::StatusOr<std::shared_ptr<MemoryDisk>> MemoryDisk::Import(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("a memory engine's checkpoint is damaged");
  if (bytes.size() < kLengthBytes) return damaged;
  const size_t crc = GetLength(bytes);
  bytes.remove_prefix(kLengthBytes);
  if (base::Crc32c(bytes) != crc) return damaged;
  auto disk = std::make_shared<MemoryDisk>();
  constexpr size_t kHeadBytes = 1 + 2 * kLengthBytes;
  while (!bytes.empty()) {
    if (bytes.size() < kHeadBytes) return damaged;
    const auto family = static_cast<size_t>(static_cast<uint8_t>(bytes[0]));
    const size_t key_bytes = GetLength(bytes.substr(1));
    const size_t value_bytes = GetLength(bytes.substr(1 + kLengthBytes));
    bytes.remove_prefix(kHeadBytes);
    if (family >= kFamilyCount || key_bytes + value_bytes > bytes.size()) return damaged;
    disk->records_[family][std::string(bytes.substr(0, key_bytes))] = {
        {0, std::string(bytes.substr(key_bytes, value_bytes))}};
    bytes.remove_prefix(key_bytes + value_bytes);
  }
  return disk;
}

const std::string* MemoryDisk::ValueAt(const Versions& versions, uint64_t batch) {
  for (auto at = versions.rbegin(); at != versions.rend(); ++at) {
    if (at->batch <= batch) return at->value.has_value() ? &*at->value : nullptr;
  }
  return nullptr;
}

void MemoryDisk::Prune(Versions* versions) const {
  Versions kept;
  for (size_t i = 0; i < versions->size(); ++i) {
    const bool newest = i + 1 == versions->size();
    if (newest || Needed((*versions)[i].batch, (*versions)[i + 1].batch)) {
      kept.push_back(std::move((*versions)[i]));
    }
  }
  *versions = std::move(kept);
}

bool MemoryDisk::Needed(uint64_t from, uint64_t until) const {
  if (from <= flushed_batch_ && flushed_batch_ < until) return true;
  const auto view = views_.lower_bound(from);
  return view != views_.end() && view->first < until;
}

MemoryEngine::MemoryEngine(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

absl::StatusOr<bool> MemoryEngine::Get(Family family, std::string_view key,
                                       OnValue on_value) const {
  return MemoryView::GetAt(*disk_, family, key, kNewest, on_value);
}

std::unique_ptr<Cursor> MemoryEngine::NewCursor(Family family, std::string_view upper_bound) const {
  return std::make_unique<MemoryCursor>(disk_, family, upper_bound, kNewest);
}

void MemoryEngine::Write(std::span<const WriteOperation> operations) { disk_->Write(operations); }

std::shared_ptr<const Reader> MemoryEngine::NewView() const {
  return std::make_shared<MemoryView>(disk_);
}

void MemoryEngine::Flush() {
  if (!retired_.load()) disk_->Flush();
}

absl::Status MemoryEngine::damage() const {
  std::lock_guard<std::mutex> lock(disk_->mutex_);
  return disk_->writes_damaged_ ? absl::DataLossError("the memory disk is damaged")
                                : absl::OkStatus();
}

void MemoryEngine::Retire() { retired_.store(true); }

std::string MemoryEngine::CheckpointBytes() {
  Flush();
  return disk_->Export();
}

absl::StatusOr<bool> MemoryEngine::GetPersisted(Family family, std::string_view key,
                                                OnValue on_value) const {
  uint64_t flushed;
  {
    std::lock_guard<std::mutex> lock(disk_->mutex_);
    flushed = disk_->flushed_batch_;
  }
  return MemoryView::GetAt(*disk_, family, key, flushed, on_value);
}

void MemoryEngine::DropKeysBelow(Family family, std::string_view bound) {
  std::lock_guard<std::mutex> lock(disk_->mutex_);
  auto& records = disk_->records_[FamilyNumber(family)];
  records.erase(records.begin(), records.lower_bound(bound));
}

void MemoryEngine::DropValuesBelow(Family family, std::string_view bound) {
  std::lock_guard<std::mutex> lock(disk_->mutex_);
  auto& records = disk_->records_[FamilyNumber(family)];
  for (auto at = records.begin(); at != records.end();) {
    const auto& newest = at->second.back().value;
    at = newest.has_value() && *newest < bound ? records.erase(at) : std::next(at);
  }
}

absl::Status MemoryEngine::Checkpoint(const std::string& directory) {
  return absl::UnimplementedError("the memory engine has no directory to copy to");
}

uint64_t MemoryEngine::PhysicalBytes() const {
  std::lock_guard<std::mutex> lock(disk_->mutex_);
  uint64_t bytes = 0;
  for (const auto& records : disk_->records_) {
    for (const auto& [key, versions] : records) {
      bytes += key.size();
      for (const auto& version : versions) bytes += version.value ? version.value->size() : 0;
    }
  }
  return bytes;
}

}  // namespace store
