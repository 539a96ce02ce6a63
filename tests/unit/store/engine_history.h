// SPDX-License-Identifier: Apache-2.0
//
// engine_history.h: a random history of batches that can be made again from its seed, and the
// comparison of two readers, for the tests of RocksDB against the memory engine.

#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/keys.h"
#include "store/rocks_engine.h"

namespace store {

inline constexpr char kBatchName[] = "batch";

inline std::string TestDirectory(const std::string& name) {
  return std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
}

inline std::unique_ptr<Engine> OpenRocks(const std::string& directory) {
  RocksOptions options;
  options.directory = directory;
  // Small, so that RocksDB flushes and compacts by itself too.
  options.family_write_buffer_bytes = 32 << 10;
  auto engine = RocksEngine::Open(options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

// A batch that owns its bytes; the last operation names the batch in the family `applied`.
struct Batch {
  std::vector<std::string> bytes;
  std::vector<WriteOperation> operations;
};

// Batch `number` of the history that `seed` names. Write-once keys in `revision` and `kept`,
// tombstones that grow in `deleted`, everything overwritten and deleted elsewhere.
inline Batch MakeBatch(uint64_t seed, uint64_t number) {
  base::Random random(seed * 1'000'003 + number);
  Batch batch;
  const uint64_t count = 1 + random.Below(12);
  batch.bytes.reserve(2 * count + 2);
  const auto own = [&](std::string bytes) -> std::string_view {
    batch.bytes.push_back(std::move(bytes));
    return batch.bytes.back();
  };
  for (uint64_t i = 0; i < count; ++i) {
    const auto family = static_cast<Family>(random.Below(kFamilyCount - 1));
    WriteOperation operation;
    operation.family = family;
    const Revision revision{static_cast<int64_t>(number), static_cast<int32_t>(i)};
    if (family == Family::kRevision || family == Family::kKept) {
      operation.key = own(RevisionKey(revision));
      operation.value = own(std::string(random.Below(300), 'r'));
    } else {
      operation.key = own("key" + std::to_string(random.Below(50)));
      operation.is_delete = random.Chance(0.3);
      if (!operation.is_delete) {
        operation.value = own(family == Family::kDeleted
                                  ? RevisionKey(revision)
                                  : std::string(random.Below(300), 'v') + std::to_string(number));
      }
    }
    batch.operations.push_back(operation);
  }
  std::string number_bytes;
  AppendFixed64(&number_bytes, number);
  batch.operations.push_back({Family::kApplied, false, kBatchName, own(std::move(number_bytes))});
  return batch;
}

inline uint64_t BatchOf(const absl::StatusOr<bool>& found, const std::string& bytes) {
  EXPECT_TRUE(found.ok()) << found.status();
  return bytes.size() == 8 ? DecodeFixed64(bytes.data()) : 0;
}

inline uint64_t LastBatch(const Engine& engine) {
  std::string bytes;
  auto found = engine.Get(Family::kApplied, kBatchName, [&](std::string_view v) { bytes = v; });
  return BatchOf(found, bytes);
}

inline uint64_t PersistedBatch(const Engine& engine) {
  std::string bytes;
  auto found =
      engine.GetPersisted(Family::kApplied, kBatchName, [&](std::string_view v) { bytes = v; });
  return BatchOf(found, bytes);
}

using Records = std::vector<std::pair<std::string, std::string>>;

inline Records Read(const Reader& reader, Family family, const std::string& from,
                    const std::string& upper_bound) {
  Records records;
  const auto cursor = reader.NewCursor(family, upper_bound);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    records.emplace_back(cursor->key(), cursor->value());
  }
  EXPECT_TRUE(cursor->status().ok()) << cursor->status();
  return records;
}

// What was dropped may be there or not.
struct Dropped {
  std::string revisions_below;
  std::string kept_below;
  std::string tombstones_below;

  Records Without(Family family, Records records) const {
    std::erase_if(records, [&](const auto& record) {
      if (family == Family::kRevision) return record.first < revisions_below;
      if (family == Family::kKept) return record.first < kept_below;
      return family == Family::kDeleted && record.second < tombstones_below;
    });
    return records;
  }
};

inline void ExpectSame(const Reader& rocks, const Reader& memory, const Dropped& dropped,
                       const std::string& from = "", const std::string& upper_bound = "") {
  for (size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    EXPECT_EQ(dropped.Without(family, Read(rocks, family, from, upper_bound)),
              dropped.Without(family, Read(memory, family, from, upper_bound)))
        << FamilyName(family);
  }
}

}  // namespace store
