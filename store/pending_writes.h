// SPDX-License-Identifier: Apache-2.0
//
// pending_writes.h: the batch that is being built, readable over the state it will change.
//
// Later entries, and later operations of one Txn, see the earlier ones through it.
// Threads: the apply thread only.

#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "store/engine.h"

namespace store {

class PendingWrites final : public Reader {
 public:
  // `base` is the state beneath, and must outlive this.
  explicit PendingWrites(const Reader* base);

  // Memory that lives until Clear.
  char* Allocate(size_t bytes);
  std::string_view Copy(std::string_view bytes);

  // The views must live until Clear. No cursor over this may be open.
  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);

  absl::StatusOr<bool> Get(Family family, std::string_view key, OnValue on_value) const override;
  std::unique_ptr<Cursor> NewCursor(Family family, std::string_view upper_bound) const override;

  // All writes in their order.
  std::span<const WriteOperation> operations() const { return operations_; }
  // Forgets the writes and their memory.
  void Clear();

 private:
  friend class PendingCursor;

  struct Newest {
    bool deleted = false;
    std::string_view value;
  };
  using Index = absl::btree_map<std::string_view, Newest>;

  const Reader* const base_;
  std::vector<WriteOperation> operations_;
  std::array<Index, kFamilyCount> newest_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
  char* block_at_ = nullptr;
};

}  // namespace store
