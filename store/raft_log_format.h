// SPDX-License-Identifier: Apache-2.0
//
// raft_log_format.h: the bytes of a segment of the Raft log.
//
//   segment  header, padded to a sector; then batches, each padded to a sector; then zeros
//   header   "DATUMLOG" | version u32 | crc32c u32 of the rest | generation u64 |
//            sequence u64 | first batch number u64 | base term u64 | base index u64 | anew u64
//   batch    magic u32 | crc32c u32 of the header's rest, seeded with the generation |
//            number u64 | body length u32 | record count u32 | crc32c u32 of the body, seeded |
//            zero sectors u32 | previous term u64 | body: records
//   record   command length u32 | crc32c u32 of the rest, seeded with the generation | term u64 |
//            index u64 | origin u64 | publish id u64 | kind u32 | command
//
// The base is the last entry before the segment: there the log begins once the segments before it
// are gone. Where `anew` is not 0 the log was begun anew behind the base, and the segments before
// no longer count. A batch may begin at or below the base, when it replaces entries that stood in
// earlier segments; its previous term is that of the entry before its first.
//
// All numbers are little endian. A batch is what one fsync made durable, so it is there whole or
// not at all; batch numbers ascend by one through all segments. The generation is random for
// each segment: what a recycled file held before never verifies, nor do bytes that a client made
// to look like a batch.
//
// A batch is written over zeros, so a sector that never reached the disk is all zero. The header
// says how many of the batch's sectors are so by nature: more of them are an unfinished write,
// any other wrong byte is damage.

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
inline constexpr size_t kBatchHeaderBytes = 40;
inline constexpr size_t kRecordHeaderBytes = 44;

struct SegmentHeader {
  uint64_t generation = 0;
  // The place of this segment among all, counted from 1.
  uint64_t sequence = 0;
  uint64_t first_batch = 0;
  raft::LogPosition base;
  bool begins_anew = false;
};

// `bytes` rounded up to whole sectors.
constexpr uint64_t Padded(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

std::string EncodeHeader(const SegmentHeader& header);
// Nothing if these are not the first bytes of a whole header.
std::optional<SegmentHeader> DecodeHeader(std::string_view bytes);

// A batch with its padding. `previous` is the term of the entry before the first one.
std::string EncodeBatch(uint64_t generation, uint64_t number, raft::Term previous,
                        std::span<const raft::EntryRef> entries);

// The header of a batch, whose own checksum was right.
struct BatchHeader {
  uint64_t number = 0;
  uint32_t body_bytes = 0;
  uint32_t record_count = 0;
  uint32_t body_crc = 0;
  uint32_t zero_sectors = 0;
  raft::Term previous_term;

  // With the header and the padding.
  uint64_t padded_bytes() const { return Padded(kBatchHeaderBytes + uint64_t{body_bytes}); }
};
// Nothing if no batch of that generation begins here.
std::optional<BatchHeader> DecodeBatchHeader(uint64_t generation, std::string_view bytes);

// A batch whose checksums were right.
struct Batch {
  BatchHeader header;
  std::string_view records;
};
// Nothing if no whole batch of that generation begins here.
std::optional<Batch> DecodeBatch(uint64_t generation, std::string_view bytes);

// Sectors of `bytes`, counted from the first, that are all zero.
uint32_t CountZeroSectors(std::string_view bytes);

// Takes the next record off the front of `records`. Nothing if there is no whole, right one.
raft::EntryRef DecodeRecord(uint64_t generation, std::string_view* records);

}  // namespace store::raft_log_format
