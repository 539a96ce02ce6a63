// SPDX-License-Identifier: Apache-2.0

#include "store/memory_engine.h"

#include <string>

#include "gtest/gtest.h"

namespace store {
namespace {

std::string ValueOf(const Reader& reader, std::string_view key) {
  std::string value = "(none)";
  EXPECT_TRUE(reader.Get(Family::kDatum, key, [&](std::string_view v) { value = v; }).ok());
  return value;
}

void Put(Engine* engine, std::string_view key, std::string_view value) {
  const WriteOperation operation{Family::kDatum, false, key, value};
  engine->Write({&operation, 1});
}

void Delete(Engine* engine, std::string_view key) {
  const WriteOperation operation{Family::kDatum, true, key, {}};
  engine->Write({&operation, 1});
}

TEST(MemoryEngineTest, ACrashGoesBackToTheLastFlush) {
  auto disk = std::make_shared<MemoryDisk>();
  {
    MemoryEngine engine(disk);
    Put(&engine, "stays", "1");
    Put(&engine, "returns", "1");
    engine.Flush();
    Put(&engine, "stays", "2");
    Put(&engine, "stays", "3");
    Delete(&engine, "returns");
    Put(&engine, "goes", "1");
  }
  disk->Crash();
  MemoryEngine engine(disk);
  EXPECT_EQ(ValueOf(engine, "stays"), "1");
  EXPECT_EQ(ValueOf(engine, "returns"), "1");
  EXPECT_EQ(ValueOf(engine, "goes"), "(none)");
}

TEST(MemoryEngineTest, AViewDoesNotMove) {
  MemoryEngine engine(std::make_shared<MemoryDisk>());
  Put(&engine, "a", "1");
  const auto view = engine.NewView();
  Put(&engine, "a", "2");
  Put(&engine, "b", "2");
  Delete(&engine, "a");
  engine.Flush();
  EXPECT_EQ(ValueOf(*view, "a"), "1");
  EXPECT_EQ(ValueOf(*view, "b"), "(none)");
  EXPECT_EQ(ValueOf(engine, "a"), "(none)");
}

TEST(MemoryEngineTest, DeletedKeysLeaveNothingBehind) {
  MemoryEngine engine(std::make_shared<MemoryDisk>());
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i);
    Put(&engine, key, "value");
    Delete(&engine, key);
  }
  engine.Flush();
  EXPECT_EQ(engine.PhysicalBytes(), 0u);
}

TEST(MemoryEngineTest, ACursorKeepsItsPlaceWhileOthersWrite) {
  MemoryEngine engine(std::make_shared<MemoryDisk>());
  for (const char* key : {"a", "b", "c", "d"}) Put(&engine, key, key);
  const auto view = engine.NewView();
  const auto cursor = view->NewCursor(Family::kDatum, "d");
  cursor->Seek("b");
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "b");
  Delete(&engine, "b");
  Put(&engine, "bb", "new");
  cursor->Next();
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "c");
  cursor->Next();
  EXPECT_FALSE(cursor->Valid());
}

}  // namespace
}  // namespace store
