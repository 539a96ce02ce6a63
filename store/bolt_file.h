// SPDX-License-Identifier: Apache-2.0
//
// bolt_file.h: the file that etcd keeps its state in and sends as its snapshot: a bbolt database,
// version 2, as far as we write and read it. All integers are little endian.
//
//   page       | id u64 | flags u16 | count u16 | overflow pages u32 | body |
//   leaf body  count x | flags u32 | position u32 | key bytes u32 | value bytes u32 |, keys, values
//   branch     count x | position u32 | key bytes u32 | child page u64 |, keys
//   meta body  | magic u32 | version u32 | page bytes u32 | flags u32 | root page u64 |
//              | root sequence u64 | freelist page u64 | pages in use u64 | txid u64 |
//              | FNV-1a 64 of what is before it u64 |
//
// A position counts from its own element. A bucket is a leaf's value | root page u64 | sequence
// u64 |; root 0 means that its only leaf page follows inline.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace store::bolt {

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kPageHeadBytes = 16;
inline constexpr size_t kElementBytes = 16;
inline constexpr size_t kBucketBytes = 16;
inline constexpr size_t kMetaBytes = 64;
inline constexpr uint32_t kMagic = 0xED0CDAED;
inline constexpr uint32_t kVersion = 2;
inline constexpr uint64_t kNoFreelist = ~uint64_t{0};

inline constexpr uint16_t kBranchPage = 1;
inline constexpr uint16_t kLeafPage = 2;
inline constexpr uint16_t kMetaPage = 4;
inline constexpr uint32_t kIsBucket = 1;

template <typename Number>
void Append(std::string* out, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out->append(bytes, sizeof number);
}

// Requires: so many bytes at `at`.
template <typename Number>
Number Load(const char* at) {
  Number number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

inline uint64_t Fnv1a(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return hash;
}

}  // namespace store::bolt
