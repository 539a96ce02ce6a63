// SPDX-License-Identifier: Apache-2.0

#include "store/lease.h"

#include <memory>

#include "base/status.h"
#include "glog/logging.h"
#include "store/errors.h"
#include "store/keys.h"

namespace store {
namespace {

constexpr size_t kRecordBytes = 16;

}  // namespace

// The record is the TTL granted, and a second number of 8 bytes, the same, that nobody reads yet.
absl::StatusOr<LeaseTtls> ReadLeases(const Reader& state) {
  LeaseTtls ttls;
  const std::unique_ptr<Cursor> leases = state.NewCursor(Family::kLease, {});
  for (leases->Seek({}); leases->Valid(); leases->Next()) {
    if (leases->key().size() != kLeaseBytes || leases->value().size() != kRecordBytes) {
      return absl::DataLossError("a lease's record has a wrong length");
    }
    ttls[DecodeLease(leases->key().data())] =
        static_cast<int64_t>(DecodeFixed64(leases->value().data()));
  }
  if (!leases->status().ok()) return leases->status();
  return ttls;
}

void ForEachLeaseChange(std::span<const WriteOperation> batch,
                        absl::FunctionRef<void(const LeaseChange&)> on_change) {
  for (const WriteOperation& write : batch) {
    if (write.family != Family::kLease) continue;
    LeaseChange change;
    change.lease = DecodeLease(write.key.data());
    change.granted = !write.is_delete;
    if (change.granted) {
      change.ttl_seconds = static_cast<int64_t>(DecodeFixed64(write.value.data()));
    }
    on_change(change);
  }
}

absl::Status LeaseTable::Load(const Reader& state) {
  ASSIGN_OR_RETURN(ttl_seconds_, ReadLeases(state));
  return absl::OkStatus();
}

absl::Status LeaseTable::Grant(int64_t lease, int64_t ttl_seconds, PendingWrites* pending) {
  if (lease == 0) return ErrorStatus(Error::kLeaseNotFound);
  if (ttl_seconds > kLeaseTtlMax) return ErrorStatus(Error::kLeaseTtlTooLarge);
  if (!ttl_seconds_.emplace(lease, ttl_seconds).second) return ErrorStatus(Error::kLeaseExists);
  std::string record;
  AppendFixed64(&record, static_cast<uint64_t>(ttl_seconds));
  AppendFixed64(&record, static_cast<uint64_t>(ttl_seconds));
  pending->Put(Family::kLease, pending->Copy(LeaseKey(lease)), pending->Copy(record));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> LeaseTable::KeysOf(int64_t lease, const Reader& state) {
  std::vector<std::string> keys;
  const std::string prefix = LeaseKey(lease);
  const std::unique_ptr<Cursor> cursor = state.NewCursor(Family::kLeaseKey, {});
  for (cursor->Seek(prefix); cursor->Valid(); cursor->Next()) {
    if (!cursor->key().starts_with(prefix)) break;
    keys.emplace_back(cursor->key().substr(prefix.size()));
  }
  if (!cursor->status().ok()) return cursor->status();
  return keys;
}

void LeaseTable::Remove(int64_t lease, PendingWrites* pending) {
  CHECK_EQ(ttl_seconds_.erase(lease), 1u) << "lease " << lease;
  pending->Delete(Family::kLease, pending->Copy(LeaseKey(lease)));
}

}  // namespace store
