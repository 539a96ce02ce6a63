// SPDX-License-Identifier: Apache-2.0

#include "store/pending_writes.h"

#include <map>
#include <memory>
#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/memory_engine.h"

namespace store {
namespace {

using Records = std::map<std::string, std::string>;

Records ReadAll(const Reader& reader, const std::string& from, const std::string& upper_bound) {
  Records records;
  const auto cursor = reader.NewCursor(Family::kDatum, upper_bound);
  std::string last;
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    EXPECT_TRUE(records.empty() || last < cursor->key()) << "in order, each once";
    last = cursor->key();
    records[last] = cursor->value();
  }
  return records;
}

TEST(PendingWritesTest, ReadsAsIfTheBatchWereWritten) {
  base::Random random(5);
  for (int round = 0; round < 200; ++round) {
    MemoryEngine engine(std::make_shared<MemoryDisk>());
    PendingWrites pending(&engine);
    Records expected;
    const auto change = [&] {
      const std::string key = "k" + std::to_string(random.Below(30));
      if (random.Chance(0.4)) {
        pending.Delete(Family::kDatum, pending.Copy(key));
        expected.erase(key);
      } else {
        const std::string value = std::to_string(random.Next());
        pending.Put(Family::kDatum, pending.Copy(key), pending.Copy(value));
        expected[key] = value;
      }
    };
    for (int i = 0; i < 20; ++i) change();
    engine.Write(pending.operations());
    pending.Clear();
    EXPECT_TRUE(pending.operations().empty());
    for (int i = 0; i < 20; ++i) change();

    const std::string from = "k" + std::to_string(random.Below(30));
    const std::string to = "k" + std::to_string(random.Below(30));
    Records part;
    for (const auto& [key, value] : expected) {
      if (key >= from && key < to) part[key] = value;
    }
    EXPECT_EQ(ReadAll(pending, "", ""), expected);
    EXPECT_EQ(ReadAll(pending, from, to), part);
    for (int i = 0; i < 30; ++i) {
      const std::string key = "k" + std::to_string(i);
      std::string value;
      auto found = pending.Get(Family::kDatum, key, [&](std::string_view v) { value = v; });
      ASSERT_TRUE(found.ok());
      EXPECT_EQ(*found, expected.contains(key));
      EXPECT_EQ(value, *found ? expected[key] : "");
    }
    engine.Write(pending.operations());
    EXPECT_EQ(ReadAll(engine, "", ""), expected);
  }
}

TEST(PendingWritesTest, MemoryStaysUntilClear) {
  MemoryEngine engine(std::make_shared<MemoryDisk>());
  PendingWrites pending(&engine);
  const std::string large(200'000, 'x');
  const std::string_view first = pending.Copy("first");
  const std::string_view big = pending.Copy(large);
  for (int i = 0; i < 10'000; ++i) pending.Copy("filler bytes that open new blocks");
  EXPECT_EQ(first, "first");
  EXPECT_EQ(big, large);
}

}  // namespace
}  // namespace store
