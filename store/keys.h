// SPDX-License-Identifier: Apache-2.0
//
// keys.h: revisions, and how the keys of each column family are laid out in bytes.
//
//   datum, deleted, presence   user key
//   revision, kept             | main revision, 8 bytes big endian | sub, 4 bytes big endian |
//   lease                      | lease id, 8 bytes big endian |
//   lease_key                  | lease id, 8 bytes big endian | user key |
//   applied                    a name, see applied_record.h
//
// Big endian, so that the order of the bytes is the order of the numbers.

#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace store {

// One place in the order of all changes: the write's revision and the change's place within it.
struct Revision {
  int64_t main = 0;
  int32_t sub = 0;

  friend auto operator<=>(const Revision&, const Revision&) = default;
};

std::ostream& operator<<(std::ostream& out, const Revision& revision);

// The first value of a store's revision: that of a store nobody has written to (etcd-api 1.2).
inline constexpr int64_t kEmptyStoreRevision = 1;
// The compact revision of a store that was never compacted (etcd-api 1.11).
inline constexpr int64_t kNeverCompacted = -1;

inline constexpr size_t kRevisionBytes = 12;
inline constexpr size_t kLeaseBytes = 8;

// Appends a number big endian, as fixed 4 or 8 bytes.
void AppendFixed32(std::string* out, uint32_t number);
void AppendFixed64(std::string* out, uint64_t number);
void EncodeFixed32(char* out, uint32_t number);
void EncodeFixed64(char* out, uint64_t number);
uint32_t DecodeFixed32(const char* bytes);
uint64_t DecodeFixed64(const char* bytes);

std::string RevisionKey(Revision revision);
void EncodeRevision(char* out, Revision revision);
// Requires: at least kRevisionBytes at `bytes`.
Revision DecodeRevision(const char* bytes);

std::string LeaseKey(int64_t lease);
std::string LeaseUserKey(int64_t lease, std::string_view user_key);
// Requires: at least kLeaseBytes at `bytes`.
int64_t DecodeLease(const char* bytes);

// The keys from `begin` on and below `end`; an empty `end` is no bound.
// Views: the bytes are the request's.
struct KeyRange {
  std::string_view begin;
  std::string_view end;
  // Exactly the key `begin`.
  bool single = false;

  bool empty() const { return !single && !end.empty() && end <= begin; }
};

// What a request's key and range_end mean (etcd-api 1.3): no range_end is one key, a range_end of
// one zero byte is every key from `key` on.
KeyRange KeyRangeOf(std::string_view key, std::string_view range_end);

}  // namespace store
