// SPDX-License-Identifier: Apache-2.0

#include "store/rocks_engine.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "store/keys.h"

namespace store {
namespace {

std::string Directory(const std::string& name) {
  const std::string directory = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
  std::filesystem::remove_all(directory);
  return directory;
}

absl::StatusOr<std::unique_ptr<Engine>> Open(const std::string& directory) {
  RocksOptions options;
  options.directory = directory;
  return RocksEngine::Open(options);
}

std::string ValueOf(const Reader& reader, Family family, std::string_view key) {
  std::string value = "(none)";
  EXPECT_TRUE(reader.Get(family, key, [&](std::string_view bytes) { value = bytes; }).ok());
  return value;
}

void Put(Engine* engine, Family family, std::string_view key, std::string_view value) {
  const WriteOperation operation{family, false, key, value};
  engine->Write({&operation, 1});
}

TEST(RocksEngineTest, OnlyWhatWasFlushedSurvivesAClose) {
  const std::string directory = Directory("survive");
  {
    auto engine = Open(directory);
    ASSERT_TRUE(engine.ok()) << engine.status();
    Put(engine->get(), Family::kDatum, "a", "flushed");
    (*engine)->Flush();
    Put(engine->get(), Family::kDatum, "a", "lost");
    EXPECT_EQ(ValueOf(**engine, Family::kDatum, "a"), "lost");
  }
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ(ValueOf(**engine, Family::kDatum, "a"), "flushed");
}

TEST(RocksEngineTest, PersistedReadsSeeTheLastFlush) {
  auto engine = Open(Directory("persisted"));
  ASSERT_TRUE(engine.ok()) << engine.status();
  Put(engine->get(), Family::kApplied, "position", "1");
  (*engine)->Flush();
  Put(engine->get(), Family::kApplied, "position", "2");
  std::string persisted;
  auto found = (*engine)->GetPersisted(Family::kApplied, "position",
                                       [&](std::string_view bytes) { persisted = bytes; });
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(persisted, "1");
}

TEST(RocksEngineTest, ASecondOpenIsRefusedByName) {
  const std::string directory = Directory("locked");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok()) << engine.status();
  auto second = Open(directory);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(std::string(second.status().message()).find(directory), std::string::npos);
}

TEST(RocksEngineTest, AFileIsNoDirectory) {
  const std::string path = Directory("file");
  std::ofstream(path) << "not a database";
  EXPECT_FALSE(Open(path).ok());
}

TEST(RocksEngineTest, ACheckpointHoldsWhatWasWritten) {
  const std::string directory = Directory("checkpoint-from");
  const std::string copy = Directory("checkpoint-to");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok()) << engine.status();
  Put(engine->get(), Family::kDatum, "a", "1");
  Put(engine->get(), Family::kApplied, "position", "7");
  const absl::Status made = (*engine)->Checkpoint(copy);
  ASSERT_TRUE(made.ok()) << made;
  Put(engine->get(), Family::kDatum, "a", "2");
  auto opened = Open(copy);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(ValueOf(**opened, Family::kDatum, "a"), "1");
  EXPECT_EQ(ValueOf(**opened, Family::kApplied, "position"), "7");
  EXPECT_FALSE((*engine)->Checkpoint(copy).ok()) << "the directory exists";
}

TEST(RocksEngineTest, DropsGiveSpaceBack) {
  auto engine = Open(Directory("drop"));
  ASSERT_TRUE(engine.ok()) << engine.status();
  // Incompressible, and more than one file's worth of each.
  std::string value(1000, '\0');
  uint32_t noise = 1;
  for (int64_t main = 1; main <= 4000; ++main) {
    for (char& byte : value) byte = static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);
    Put(engine->get(), Family::kRevision, RevisionKey({main, 0}), value);
    if (main % 500 == 0) (*engine)->Flush();
  }
  const std::string bound = RevisionKey({3000, 0});
  (*engine)->DropKeysBelow(Family::kRevision, bound);
  const auto cursor = (*engine)->NewCursor(Family::kRevision, {});
  int64_t left = 0;
  for (cursor->Seek(bound); cursor->Valid(); cursor->Next()) ++left;
  EXPECT_EQ(left, 1001);
  EXPECT_GT((*engine)->PhysicalBytes(), 1'000'000u);
}

}  // namespace
}  // namespace store
