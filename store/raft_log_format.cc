// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log_format.h"

#include <cstring>
#include <memory>

#include "base/crc32c.h"

namespace store::raft_log_format {
namespace {

constexpr std::string_view kSegmentMagic = "DATUMLOG";
constexpr uint32_t kVersion = 2;
constexpr uint32_t kBatchMagic = 0x48435442;  // "BTCH"
constexpr size_t kHeaderBytes = 64;
constexpr size_t kCrcEnd = 8;  // of a batch's header and of a record: the rest is behind it

template <typename T>
void PutNumber(std::string* out, T number) {
  out->append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename T>
T GetNumber(std::string_view bytes, size_t at) {
  T number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

uint32_t Seed(uint64_t generation) {
  return static_cast<uint32_t>(generation) ^ static_cast<uint32_t>(generation >> 32);
}

// Writes the checksum of all behind it into the second word of what begins at `start`.
void SealCrc(uint64_t generation, size_t start, std::string* out) {
  const uint32_t crc =
      base::Crc32c(std::string_view(*out).substr(start + kCrcEnd), Seed(generation));
  std::memcpy(out->data() + start + 4, &crc, sizeof crc);
}

void AppendRecord(uint64_t generation, const raft::Entry& entry, std::string* out) {
  const size_t start = out->size();
  PutNumber(out, static_cast<uint32_t>(entry.command.size()));
  PutNumber(out, uint32_t{0});
  PutNumber(out, entry.term.value());
  PutNumber(out, entry.index.value());
  PutNumber(out, entry.origin.value());
  PutNumber(out, entry.publish_id.value());
  PutNumber(out, static_cast<uint32_t>(entry.kind));
  out->append(entry.command);
  SealCrc(generation, start, out);
}

}  // namespace

std::string EncodeHeader(const SegmentHeader& header) {
  std::string out(kSegmentMagic);
  PutNumber(&out, kVersion);
  std::string rest;
  PutNumber(&rest, header.generation);
  PutNumber(&rest, header.sequence);
  PutNumber(&rest, header.first_batch);
  PutNumber(&rest, header.base.term.value());
  PutNumber(&rest, header.base.index.value());
  PutNumber(&rest, uint64_t{header.begins_anew});
  PutNumber(&out, base::Crc32c(rest));
  out += rest;
  out.resize(kSectorBytes);
  return out;
}

std::optional<SegmentHeader> DecodeHeader(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kSegmentMagic.size()) != kSegmentMagic ||
      GetNumber<uint32_t>(bytes, 8) != kVersion ||
      GetNumber<uint32_t>(bytes, 12) != base::Crc32c(bytes.substr(16, kHeaderBytes - 16))) {
    return std::nullopt;
  }
  return SegmentHeader{
      GetNumber<uint64_t>(bytes, 16),
      GetNumber<uint64_t>(bytes, 24),
      GetNumber<uint64_t>(bytes, 32),
      {raft::Term(GetNumber<uint64_t>(bytes, 40)), raft::Index(GetNumber<uint64_t>(bytes, 48))},
      GetNumber<uint64_t>(bytes, 56) != 0};
}

std::string EncodeBatch(uint64_t generation, uint64_t number, raft::Term previous,
                        std::span<const raft::EntryRef> entries) {
  size_t body_bytes = 0;
  for (const raft::EntryRef& entry : entries) {
    body_bytes += kRecordHeaderBytes + entry->command.size();
  }
  std::string out;
  out.reserve(Padded(kBatchHeaderBytes + body_bytes));
  out.resize(kBatchHeaderBytes);
  for (const raft::EntryRef& entry : entries) AppendRecord(generation, *entry, &out);
  const uint32_t body_crc =
      base::Crc32c(std::string_view(out).substr(kBatchHeaderBytes), Seed(generation));
  out.resize(Padded(out.size()));
  // The first sector holds this header and is never zero.
  const uint32_t zero_sectors = CountZeroSectors(std::string_view(out).substr(kSectorBytes));

  std::string header;
  PutNumber(&header, kBatchMagic);
  PutNumber(&header, uint32_t{0});
  PutNumber(&header, number);
  PutNumber(&header, static_cast<uint32_t>(body_bytes));
  PutNumber(&header, static_cast<uint32_t>(entries.size()));
  PutNumber(&header, body_crc);
  PutNumber(&header, zero_sectors);
  PutNumber(&header, previous.value());
  SealCrc(generation, 0, &header);
  out.replace(0, kBatchHeaderBytes, header);
  return out;
}

std::optional<BatchHeader> DecodeBatchHeader(uint64_t generation, std::string_view bytes) {
  if (bytes.size() < kBatchHeaderBytes || GetNumber<uint32_t>(bytes, 0) != kBatchMagic) {
    return std::nullopt;
  }
  const std::string_view sealed = bytes.substr(kCrcEnd, kBatchHeaderBytes - kCrcEnd);
  if (GetNumber<uint32_t>(bytes, 4) != base::Crc32c(sealed, Seed(generation))) {
    return std::nullopt;
  }
  return BatchHeader{GetNumber<uint64_t>(bytes, 8),  GetNumber<uint32_t>(bytes, 16),
                     GetNumber<uint32_t>(bytes, 20), GetNumber<uint32_t>(bytes, 24),
                     GetNumber<uint32_t>(bytes, 28), raft::Term(GetNumber<uint64_t>(bytes, 32))};
}

std::optional<Batch> DecodeBatch(uint64_t generation, std::string_view bytes) {
  const std::optional<BatchHeader> header = DecodeBatchHeader(generation, bytes);
  if (!header || header->body_bytes > bytes.size() - kBatchHeaderBytes) return std::nullopt;
  const std::string_view body = bytes.substr(kBatchHeaderBytes, header->body_bytes);
  if (header->body_crc != base::Crc32c(body, Seed(generation))) return std::nullopt;
  return Batch{*header, body};
}

uint32_t CountZeroSectors(std::string_view bytes) {
  uint32_t count = 0;
  for (size_t at = 0; at < bytes.size(); at += kSectorBytes) {
    const std::string_view sector = bytes.substr(at, kSectorBytes);
    if (sector.find_first_not_of('\0') == std::string_view::npos) ++count;
  }
  return count;
}

raft::EntryRef DecodeRecord(uint64_t generation, std::string_view* records) {
  if (records->size() < kRecordHeaderBytes) return nullptr;
  const auto length = GetNumber<uint32_t>(*records, 0);
  if (length > records->size() - kRecordHeaderBytes) return nullptr;
  const std::string_view record = records->substr(0, kRecordHeaderBytes + length);
  if (GetNumber<uint32_t>(record, 4) != base::Crc32c(record.substr(kCrcEnd), Seed(generation))) {
    return nullptr;
  }
  auto entry = std::make_shared<raft::Entry>();
  entry->term = raft::Term(GetNumber<uint64_t>(record, 8));
  entry->index = raft::Index(GetNumber<uint64_t>(record, 16));
  entry->origin = raft::NodeId(GetNumber<uint64_t>(record, 24));
  entry->publish_id = raft::PublishId(GetNumber<uint64_t>(record, 32));
  const auto kind = GetNumber<uint32_t>(record, 40);
  if (kind > static_cast<uint32_t>(raft::EntryKind::kConfiguration)) return nullptr;
  entry->kind = static_cast<raft::EntryKind>(kind);
  entry->command = record.substr(kRecordHeaderBytes);
  records->remove_prefix(record.size());
  return entry;
}

}  // namespace store::raft_log_format
