// SPDX-License-Identifier: Apache-2.0

#include "store/applied_record.h"

#include "absl/status/status.h"

namespace store {
namespace {

constexpr size_t kOldBytes = 9 * 8;
constexpr size_t kBytes = 11 * 8;

}  // namespace

std::string EncodeAppliedRecord(const AppliedRecord& record) {
  std::string bytes;
  bytes.reserve(kBytes);
  AppendFixed64(&bytes, record.applied.index.value());
  AppendFixed64(&bytes, record.applied.term.value());
  AppendFixed64(&bytes, static_cast<uint64_t>(record.revision));
  AppendFixed64(&bytes, static_cast<uint64_t>(record.compact_revision));
  AppendFixed64(&bytes, static_cast<uint64_t>(record.compacted_at));
  AppendFixed64(&bytes, static_cast<uint64_t>(record.live_bytes));
  AppendFixed64(&bytes, record.state_hash);
  AppendFixed64(&bytes, record.digest.index.value());
  AppendFixed64(&bytes, record.digest.hash);
  AppendFixed64(&bytes, static_cast<uint64_t>(record.written_bytes));
  AppendFixed64(&bytes, static_cast<uint64_t>(record.size_offset));
  return bytes;
}

absl::StatusOr<AppliedRecord> DecodeAppliedRecord(std::string_view bytes) {
  if (bytes.size() != kBytes && bytes.size() != kOldBytes) {
    return absl::DataLossError("the applied record has a wrong length");
  }
  const char* at = bytes.data();
  AppliedRecord record;
  record.applied.index = raft::Index(DecodeFixed64(at));
  record.applied.term = raft::Term(DecodeFixed64(at + 8));
  record.revision = static_cast<int64_t>(DecodeFixed64(at + 16));
  record.compact_revision = static_cast<int64_t>(DecodeFixed64(at + 24));
  record.compacted_at = static_cast<int64_t>(DecodeFixed64(at + 32));
  record.live_bytes = static_cast<int64_t>(DecodeFixed64(at + 40));
  record.state_hash = DecodeFixed64(at + 48);
  record.digest.index = raft::Index(DecodeFixed64(at + 56));
  record.digest.hash = DecodeFixed64(at + 64);
  // A state that did not count yet begins with what is live.
  record.written_bytes =
      bytes.size() == kBytes ? static_cast<int64_t>(DecodeFixed64(at + 72)) : record.live_bytes;
  if (bytes.size() == kBytes) record.size_offset = static_cast<int64_t>(DecodeFixed64(at + 80));
  return record;
}

}  // namespace store
