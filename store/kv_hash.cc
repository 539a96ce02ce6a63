// SPDX-License-Identifier: Apache-2.0

#include "store/kv_hash.h"

#include <string>

#include "base/crc32c.h"
#include "base/status.h"
#include "store/datum.h"

namespace store {
namespace {

class KvHash {
 public:
  void Add(std::string_view key, const Datum& datum) {
    head_.clear();
    AppendFixed64(&head_, static_cast<uint64_t>(datum.create_revision));
    AppendFixed64(&head_, static_cast<uint64_t>(datum.mod_revision.main));
    AppendFixed32(&head_, static_cast<uint32_t>(datum.mod_revision.sub));
    AppendFixed64(&head_, static_cast<uint64_t>(datum.timestamp));
    AppendFixed64(&head_, static_cast<uint64_t>(datum.lease));
    AppendFixed64(&head_, datum.value.size());
    Add(key);
    value_ = base::Crc32c(head_, value_);
    value_ = base::Crc32c(datum.value, value_);
  }
  uint32_t value() const { return value_; }

 private:
  void Add(std::string_view key) {
    std::string size;
    AppendFixed32(&size, static_cast<uint32_t>(key.size()));
    value_ = base::Crc32c(size, value_);
    value_ = base::Crc32c(key, value_);
  }

  uint32_t value_ = 0;
  std::string head_;
};

}  // namespace

absl::StatusOr<uint32_t> HashKeySpace(const KeySpace& keys, int64_t at) {
  KvHash hash;
  const std::string all_from(1, '\0');
  RETURN_IF_ERROR(
      keys.Scan(KeyRangeOf(all_from, all_from), at, [&](std::string_view key, const Datum& datum) {
        hash.Add(key, datum);
        return true;
      }));
  return hash.value();
}

}  // namespace store
