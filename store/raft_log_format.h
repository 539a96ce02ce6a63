// SPDX-License-Identifier: Apache-2.0
//
// raft_log_format.h: the bytes of a segment of the Raft log.
//
//   segment  header, padded to a sector; then batches, each padded to a sector; then zeros
//   header   "DATUMLOG" | version u32 | crc32c u32 of the rest | generation u64 |
//            sequence u64 | first batch number u64 | base term u64 | base index u64
//   batch    magic u32 | crc32c u32 of the rest, seeded with the generation | number u64 |
//            body length u32 | record count u32 | records
//   record   command length u32 | crc32c u32 of the rest, seeded with the generation | term u64 |
//            index u64 | origin u64 | publish id u64 | kind u32 | command
//
// The base is 0/0 but where the log was begun anew behind what the state already holds: then the
// segment's entries follow the base, and the segments before it no longer count.
//
// All numbers are little endian. A batch is what one fsync made durable, so it is there whole or
// not at all; batch numbers ascend by one through all segments. The generation is random for
// each segment: what a recycled file held before never verifies, nor do bytes that a client made
// to look like a batch.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "raft/core/types.h"

namespace store::raft_log_format {

// What a disk writes in one piece; an acknowledged sector is never written again.
inline constexpr size_t kSectorBytes = 512;
inline constexpr size_t kBatchHeaderBytes = 24;
inline constexpr size_t kRecordHeaderBytes = 44;

struct SegmentHeader {
  uint64_t generation = 0;
  // The place of this segment among all, counted from 1.
  uint64_t sequence = 0;
  uint64_t first_batch = 0;
  raft::LogPosition base;
};

// `bytes` rounded up to whole sectors.
constexpr uint64_t Padded(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

std::string EncodeHeader(const SegmentHeader& header);
// Nothing if these are not the first bytes of a whole header.
std::optional<SegmentHeader> DecodeHeader(std::string_view bytes);

// A batch with its padding.
std::string EncodeBatch(uint64_t generation, uint64_t number,
                        std::span<const raft::EntryRef> entries);

// A batch whose checksum was right.
struct Batch {
  uint64_t number = 0;
  uint32_t record_count = 0;
  std::string_view records;
  // With the header and the padding.
  uint64_t padded_bytes = 0;
};
// The whole length of the batch whose header these bytes begin with, by its own word; nothing if
// they do not look like one. Its checksum is not known to be right.
std::optional<uint64_t> PaddedBatchBytes(std::string_view bytes);
// Nothing if no whole batch of that generation begins here.
std::optional<Batch> DecodeBatch(uint64_t generation, std::string_view bytes);

// Takes the next record off the front of `records`. Nothing if there is no whole, right one.
raft::EntryRef DecodeRecord(uint64_t generation, std::string_view* records);

}  // namespace store::raft_log_format
