// SPDX-License-Identifier: Apache-2.0

#include "store/keys.h"

#include <cstring>

namespace store {

std::ostream& operator<<(std::ostream& out, const Revision& revision) {
  return out << revision.main << "." << revision.sub;
}

void EncodeFixed32(char* out, uint32_t number) {
  const uint32_t big_endian = __builtin_bswap32(number);
  std::memcpy(out, &big_endian, sizeof big_endian);
}

void EncodeFixed64(char* out, uint64_t number) {
  const uint64_t big_endian = __builtin_bswap64(number);
  std::memcpy(out, &big_endian, sizeof big_endian);
}

uint32_t DecodeFixed32(const char* bytes) {
  uint32_t big_endian;
  std::memcpy(&big_endian, bytes, sizeof big_endian);
  return __builtin_bswap32(big_endian);
}

uint64_t DecodeFixed64(const char* bytes) {
  uint64_t big_endian;
  std::memcpy(&big_endian, bytes, sizeof big_endian);
  return __builtin_bswap64(big_endian);
}

void AppendFixed32(std::string* out, uint32_t number) {
  char bytes[4];
  EncodeFixed32(bytes, number);
  out->append(bytes, sizeof bytes);
}

void AppendFixed64(std::string* out, uint64_t number) {
  char bytes[8];
  EncodeFixed64(bytes, number);
  out->append(bytes, sizeof bytes);
}

void EncodeRevision(char* out, Revision revision) {
  EncodeFixed64(out, static_cast<uint64_t>(revision.main));
  EncodeFixed32(out + 8, static_cast<uint32_t>(revision.sub));
}

std::string RevisionKey(Revision revision) {
  std::string key(kRevisionBytes, '\0');
  EncodeRevision(key.data(), revision);
  return key;
}

Revision DecodeRevision(const char* bytes) {
  return {static_cast<int64_t>(DecodeFixed64(bytes)),
          static_cast<int32_t>(DecodeFixed32(bytes + 8))};
}

std::string LeaseKey(int64_t lease) {
  std::string key;
  AppendFixed64(&key, static_cast<uint64_t>(lease));
  return key;
}

std::string LeaseUserKey(int64_t lease, std::string_view user_key) {
  std::string key;
  key.reserve(kLeaseBytes + user_key.size());
  AppendFixed64(&key, static_cast<uint64_t>(lease));
  key.append(user_key);
  return key;
}

int64_t DecodeLease(const char* bytes) { return static_cast<int64_t>(DecodeFixed64(bytes)); }

KeyRange KeyRangeOf(std::string_view key, std::string_view range_end) {
  if (range_end.empty()) return {key, {}, true};
  if (range_end.size() == 1 && range_end[0] == '\0') return {key, {}, false};
  return {key, range_end, false};
}

}  // namespace store
