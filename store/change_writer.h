// SPDX-License-Identifier: Apache-2.0
//
// change_writer.h: one change of one key, written into every family that must know of it.
//
// Threads: the apply thread only.
// Errors:  what the engine's reads return; nothing was written then.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/applied_record.h"
#include "store/datum.h"
#include "store/pending_writes.h"

namespace store {

// A key's datum before a change.
struct Prior {
  bool exists = false;
  // Its value is empty unless it was asked for or a compaction wants it kept.
  Datum datum;
  size_t value_bytes = 0;
  // The encoded datum that datum.value points into; do not move a Prior.
  std::string bytes;

  Prior() = default;
  Prior(const Prior&) = delete;
  Prior& operator=(const Prior&) = delete;
};

class ChangeWriter {
 public:
  // Both must outlive this. Revision and live bytes of `numbers` move with the changes.
  ChangeWriter(PendingWrites* pending, AppliedRecord* numbers)
      : pending_(pending), numbers_(numbers) {}

  // What stands under `key` now, earlier pending changes among it.
  absl::Status ReadPrior(std::string_view key, bool want_value, Prior* prior) const;

  // Begins a write; its changes share the revision after numbers->revision.
  void Begin() { changes_ = 0; }
  // Ends it. The store's revision moves if there was a change (etcd-api 1.2).
  void End();

  // Requires: `prior` is ReadPrior of the key, with no change of the key since.
  absl::Status Put(std::string_view key, std::string_view value, int64_t lease, const Prior& prior);
  // Requires: prior.exists.
  void Delete(std::string_view key, const Prior& prior);

  // What is below that revision counts no more towards the size of the store.
  // Errors: what the engine's reads return, DataLoss.
  absl::Status CountCompaction(int64_t revision);

  // The revision that a response within this write shows.
  int64_t revision_now() const { return numbers_->revision + (changes_ > 0 ? 1 : 0); }

 private:
  Revision NextRevision() { return {numbers_->revision + 1, changes_++}; }
  // The revision of the key's tombstone, main 0 if there is none that still counts.
  absl::StatusOr<Revision> TakeTombstone(std::string_view key);
  // Writes the change to `revision`, and what it replaced to `kept` if a compaction wants it.
  // Returns the encoded change.
  std::string_view Record(Revision revision, const Change& change, const Prior& prior);
  void MoveLease(std::string_view key, int64_t from, int64_t to);

  PendingWrites* const pending_;
  AppliedRecord* const numbers_;
  int32_t changes_ = 0;
};

}  // namespace store
