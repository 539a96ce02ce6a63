// SPDX-License-Identifier: Apache-2.0

#include "store/pending_writes.h"

#include <cstring>
#include <utility>

#include "glog/logging.h"

namespace store {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

// An empty bound is none.
bool Below(std::string_view key, std::string_view upper_bound) {
  return upper_bound.empty() || key < upper_bound;
}

}  // namespace

// The base's records with the pending ones laid over them.
class PendingCursor final : public Cursor {
 public:
  PendingCursor(const PendingWrites::Index* newest, std::unique_ptr<Cursor> base,
                std::string_view upper_bound)
      : newest_(newest), base_(std::move(base)), upper_bound_(upper_bound), at_(newest->end()) {}

  void Seek(std::string_view target) override {
    base_->Seek(target);
    at_ = newest_->lower_bound(target);
    Settle();
  }

  void Next() override {
    const bool step_base = !on_pending_ || covers_base_;
    if (on_pending_) ++at_;
    if (step_base) base_->Next();
    Settle();
  }

  bool Valid() const override { return valid_ && base_->status().ok(); }
  std::string_view key() const override { return on_pending_ ? at_->first : base_->key(); }
  std::string_view value() const override {
    return on_pending_ ? at_->second.value : base_->value();
  }
  absl::Status status() const override { return base_->status(); }

 private:
  // Goes on from where the two stand to the first record that is not deleted.
  void Settle() {
    while (true) {
      const bool pending = at_ != newest_->end() && Below(at_->first, upper_bound_);
      const bool base = base_->Valid();
      valid_ = pending || base;
      if (!valid_) return;
      const int order = !pending ? 1 : !base ? -1 : at_->first.compare(base_->key());
      on_pending_ = order <= 0;
      covers_base_ = order == 0;
      if (!on_pending_ || !at_->second.deleted) return;
      ++at_;
      if (covers_base_) base_->Next();
    }
  }

  const PendingWrites::Index* const newest_;
  const std::unique_ptr<Cursor> base_;
  const std::string upper_bound_;
  PendingWrites::Index::const_iterator at_;
  bool valid_ = false;
  // The current record is at_'s, otherwise base_'s.
  bool on_pending_ = false;
  // base_ stands at the same key, which at_ replaces.
  bool covers_base_ = false;
};

PendingWrites::PendingWrites(const Reader* base) : base_(base) {}

char* PendingWrites::Allocate(size_t bytes) {
  if (bytes > block_left_) {
    const size_t block_bytes = bytes > kBlockBytes / 4 ? bytes : kBlockBytes;
    blocks_.emplace_back(new char[block_bytes]);
    // A large piece has its block alone, and the open block stays open.
    if (block_bytes == bytes) return blocks_.back().get();
    block_at_ = blocks_.back().get();
    block_left_ = block_bytes;
  }
  char* const piece = block_at_;
  block_at_ += bytes;
  block_left_ -= bytes;
  return piece;
}

std::string_view PendingWrites::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* const copy = Allocate(bytes.size());
  std::memcpy(copy, bytes.data(), bytes.size());
  return {copy, bytes.size()};
}

void PendingWrites::Put(Family family, std::string_view key, std::string_view value) {
  operations_.push_back({family, false, key, value});
  newest_[FamilyNumber(family)].insert_or_assign(key, Newest{false, value});
}

void PendingWrites::Delete(Family family, std::string_view key) {
  operations_.push_back({family, true, key, {}});
  newest_[FamilyNumber(family)].insert_or_assign(key, Newest{true, {}});
}

absl::StatusOr<bool> PendingWrites::Get(Family family, std::string_view key,
                                        OnValue on_value) const {
  const Index& newest = newest_[FamilyNumber(family)];
  const auto at = newest.find(key);
  if (at == newest.end()) return base_->Get(family, key, on_value);
  if (at->second.deleted) return false;
  on_value(at->second.value);
  return true;
}

std::unique_ptr<Cursor> PendingWrites::NewCursor(Family family,
                                                 std::string_view upper_bound) const {
  return std::make_unique<PendingCursor>(&newest_[FamilyNumber(family)],
                                         base_->NewCursor(family, upper_bound), upper_bound);
}

void PendingWrites::Clear() {
  operations_.clear();
  for (Index& newest : newest_) newest.clear();
  blocks_.clear();
  block_left_ = 0;
  block_at_ = nullptr;
}

}  // namespace store
