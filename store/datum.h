// SPDX-License-Identifier: Apache-2.0
//
// datum.h: one key's value with its bookkeeping, and the record of one change, as bytes.
//
//   datum    | create 8 | mod main 8 | mod sub 4 | timestamp 8 | lease 8 | value ... |
//   change   | kind 1 | written 8 | previous main 8 | previous sub 4 | key length 4 | key | datum |
//            (a delete ends after the key; kinds 0 and 1, of the first version, have no "written")
//
// Numbers are big endian. A put's datum is the tail of its change, so that one encoding serves the
// families `datum`, `revision` and `kept`.
// Decoding copies nothing: the views point into the bytes decoded and live as long as these.
// Errors: decoding other bytes gives DataLoss.

#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "store/keys.h"

namespace store {

// Counts the changes of one datum: 1 when created, one more for each publish. Never a clock.
using Timestamp = int64_t;

// A key's value as it stands since `mod_revision`.
struct Datum {
  int64_t create_revision = 0;
  Revision mod_revision;
  Timestamp timestamp = 0;
  // 0 if attached to none.
  int64_t lease = 0;
  std::string_view value;
};

inline constexpr size_t kDatumHeadBytes = 36;

inline size_t EncodedDatumBytes(const Datum& datum) { return kDatumHeadBytes + datum.value.size(); }
// Requires: EncodedDatumBytes(datum) bytes at `out`.
void EncodeDatum(char* out, const Datum& datum);
absl::StatusOr<Datum> DecodeDatum(std::string_view bytes);

enum class ChangeKind : uint8_t { kPut = 0, kDelete = 1 };

// Of a change that does not say what was written before it.
inline constexpr int64_t kWrittenUnknown = -1;

// What one revision did to one key.
struct Change {
  ChangeKind kind = ChangeKind::kPut;
  // The bytes of all changes before this one, since the store was empty.
  int64_t written = kWrittenUnknown;
  // The change of the same key before this one; main 0 if there is none that still counts.
  // Of a put with timestamp 1 it is a delete, otherwise a put.
  Revision previous;
  std::string_view key;
  // The datum as it became; only of a put.
  Datum datum;

  // Nothing was there before: a read between `previous` and this change finds no datum.
  bool creates() const { return kind == ChangeKind::kPut && datum.timestamp == 1; }
};

size_t EncodedChangeBytes(const Change& change);
// Requires: EncodedChangeBytes(change) bytes at `out`.
void EncodeChange(char* out, const Change& change);
absl::StatusOr<Change> DecodeChange(std::string_view bytes);
// The encoded datum within an encoded put.
// Requires: `change` is a put that was decoded from, or encoded into, `bytes`.
std::string_view DatumBytesOf(const Change& change, std::string_view bytes);

}  // namespace store
