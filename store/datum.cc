// SPDX-License-Identifier: Apache-2.0

#include "store/datum.h"

#include <cstring>

#include "absl/status/status.h"

namespace store {
namespace {

constexpr size_t kWrittenBytes = 8;
constexpr size_t kOldHeadBytes = 1 + kRevisionBytes + 4;
constexpr size_t kHeadBytes = kOldHeadBytes + kWrittenBytes;
// In the byte of the kind: "written" is there.
constexpr uint8_t kHasWritten = 2;
constexpr uint8_t kKindsEnd = 4;

}  // namespace

void EncodeDatum(char* out, const Datum& datum) {
  EncodeFixed64(out, static_cast<uint64_t>(datum.create_revision));
  EncodeRevision(out + 8, datum.mod_revision);
  EncodeFixed64(out + 20, static_cast<uint64_t>(datum.timestamp));
  EncodeFixed64(out + 28, static_cast<uint64_t>(datum.lease));
  if (!datum.value.empty()) {
    std::memcpy(out + kDatumHeadBytes, datum.value.data(), datum.value.size());
  }
}

absl::StatusOr<Datum> DecodeDatum(std::string_view bytes) {
  if (bytes.size() < kDatumHeadBytes) return absl::DataLossError("a datum's record is too short");
  Datum datum;
  datum.create_revision = static_cast<int64_t>(DecodeFixed64(bytes.data()));
  datum.mod_revision = DecodeRevision(bytes.data() + 8);
  datum.timestamp = static_cast<int64_t>(DecodeFixed64(bytes.data() + 20));
  datum.lease = static_cast<int64_t>(DecodeFixed64(bytes.data() + 28));
  datum.value = bytes.substr(kDatumHeadBytes);
  return datum;
}

size_t EncodedChangeBytes(const Change& change) {
  const size_t head = kHeadBytes + change.key.size();
  return change.kind == ChangeKind::kDelete ? head : head + EncodedDatumBytes(change.datum);
}

void EncodeChange(char* out, const Change& change) {
  *out++ = static_cast<char>(static_cast<uint8_t>(change.kind) | kHasWritten);
  EncodeFixed64(out, static_cast<uint64_t>(change.written));
  out += kWrittenBytes;
  EncodeRevision(out, change.previous);
  out += kRevisionBytes;
  EncodeFixed32(out, static_cast<uint32_t>(change.key.size()));
  out += 4;
  if (!change.key.empty()) std::memcpy(out, change.key.data(), change.key.size());
  if (change.kind == ChangeKind::kPut) EncodeDatum(out + change.key.size(), change.datum);
}

absl::StatusOr<Change> DecodeChange(std::string_view bytes) {
  const uint8_t kind = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  if (kind >= kKindsEnd) return absl::DataLossError("a change's record is of no known kind");
  const bool has_written = (kind & kHasWritten) != 0;
  if (bytes.size() < (has_written ? kHeadBytes : kOldHeadBytes)) {
    return absl::DataLossError("a change's record is too short");
  }
  Change change;
  change.kind = static_cast<ChangeKind>(kind & ~kHasWritten);
  bytes.remove_prefix(1);
  if (has_written) {
    change.written = static_cast<int64_t>(DecodeFixed64(bytes.data()));
    bytes.remove_prefix(kWrittenBytes);
  }
  change.previous = DecodeRevision(bytes.data());
  const size_t key_bytes = DecodeFixed32(bytes.data() + kRevisionBytes);
  bytes.remove_prefix(kRevisionBytes + 4);
  if (bytes.size() < key_bytes) return absl::DataLossError("a change's record ends in its key");
  change.key = bytes.substr(0, key_bytes);
  bytes.remove_prefix(key_bytes);
  if (change.kind == ChangeKind::kDelete) {
    if (!bytes.empty()) return absl::DataLossError("a delete's record has a datum");
    return change;
  }
  auto datum = DecodeDatum(bytes);
  if (!datum.ok()) return datum.status();
  change.datum = *datum;
  return change;
}

std::string_view DatumBytesOf(const Change& change, std::string_view bytes) {
  return bytes.substr(bytes.size() - EncodedDatumBytes(change.datum));
}

}  // namespace store
