// SPDX-License-Identifier: Apache-2.0

#include "store/rocks_engine.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

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

int64_t CountBelow(const Engine& engine, std::string_view bound) {
  const auto cursor = engine.NewCursor(Family::kRevision, bound);
  int64_t count = 0;
  for (cursor->Seek({}); cursor->Valid(); cursor->Next()) ++count;
  EXPECT_TRUE(cursor->status().ok()) << cursor->status();
  return count;
}

// Whole files go; of the one that the bound lies in, what is below stays until RocksDB rewrites it,
// which in a family written in key order is at its periodic compaction.
TEST(RocksEngineTest, DropsTakeWholeFilesBelowTheBoundAndNothingElse) {
  auto opened = Open(Directory("drop"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine* const engine = opened->get();
  constexpr int64_t kFileRecords = 200;
  int64_t last = 0;
  const auto write_some = [&] {
    for (int64_t i = 0; i < kFileRecords; ++i) {
      Put(engine, Family::kRevision, RevisionKey({++last, 0}), std::string(500, 'v'));
    }
    engine->Flush();
  };
  for (int i = 0; i < 5; ++i) write_some();
  const std::string bound = RevisionKey({700, 0});
  engine->DropKeysBelow(Family::kRevision, bound);
  for (int i = 0; i < 300 && CountBelow(*engine, bound) >= kFileRecords; ++i) {
    write_some();
    engine->DropKeysBelow(Family::kRevision, bound);
  }
  const int64_t left_below = CountBelow(*engine, bound);
  EXPECT_LT(left_below, kFileRecords);
  EXPECT_EQ(CountBelow(*engine, {}), last - 699 + left_below);
}

TEST(RocksEngineTest, TombstonesGoByTheirValue) {
  auto opened = Open(Directory("drop-values"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine* const engine = opened->get();
  Put(engine, Family::kDeleted, "old", RevisionKey({5, 0}));
  Put(engine, Family::kDeleted, "new", RevisionKey({10, 0}));
  engine->Flush();
  engine->DropValuesBelow(Family::kDeleted, RevisionKey({10, 0}));
  for (int i = 0; i < 300 && ValueOf(*engine, Family::kDeleted, "old") != "(none)"; ++i) {
    // A neighbour, so that the file takes part in a compaction.
    Put(engine, Family::kDeleted, "o", RevisionKey({11, i}));
    Put(engine, Family::kDeleted, "p", RevisionKey({11, i}));
    engine->Flush();
  }
  EXPECT_EQ(ValueOf(*engine, Family::kDeleted, "old"), "(none)");
  EXPECT_EQ(ValueOf(*engine, Family::kDeleted, "new"), RevisionKey({10, 0}));
}

// The files of a state with a few hundred flushed records.
std::string FilledDirectory(const std::string& name) {
  const std::string directory = Directory(name);
  auto engine = Open(directory);
  EXPECT_TRUE(engine.ok()) << engine.status();
  for (int i = 0; i < 500; ++i) {
    Put(engine->get(), Family::kDatum, "key" + std::to_string(i), std::string(100, 'v'));
  }
  (*engine)->Flush();
  return directory;
}

std::vector<std::filesystem::path> FilesWith(const std::string& directory,
                                             const std::string& part) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().find(part) != std::string::npos) {
      found.push_back(entry.path());
    }
  }
  return found;
}

void Overwrite(const std::filesystem::path& path, int64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file << bytes;
}

TEST(RocksEngineTest, ADamagedBlockIsReportedAndNeverServed) {
  const std::string directory = FilledDirectory("block");
  for (const auto& path : FilesWith(directory, ".sst")) Overwrite(path, 200, "damage");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const auto found = (*engine)->Get(Family::kDatum, "key0", [](std::string_view) { FAIL(); });
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDataLoss) << found.status();
  const auto cursor = (*engine)->NewCursor(Family::kDatum, "");
  cursor->Seek("");
  EXPECT_FALSE(cursor->Valid());
  EXPECT_EQ(cursor->status().code(), absl::StatusCode::kDataLoss);
}

TEST(RocksEngineTest, AFileThatIsCutBelowARunningEngineIsFoundByItsLength) {
  const std::string directory = FilledDirectory("cut");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_TRUE((*engine)->CheckFiles().ok());
  const std::string file = FilesWith(directory, ".sst").at(0);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  const absl::Status found = (*engine)->CheckFiles();
  EXPECT_EQ(found.code(), absl::StatusCode::kDataLoss) << found;
}

TEST(RocksEngineTest, ADirectoryThatIsNotWholeIsDataLoss) {
  const std::string no_table = FilledDirectory("no_table");
  std::filesystem::remove(FilesWith(no_table, ".sst").at(0));
  EXPECT_EQ(Open(no_table).status().code(), absl::StatusCode::kDataLoss) << Open(no_table).status();

  const std::string manifest = FilledDirectory("manifest");
  Overwrite(FilesWith(manifest, "MANIFEST").at(0), 30, "damage");
  EXPECT_EQ(Open(manifest).status().code(), absl::StatusCode::kDataLoss);

  const std::string no_manifest = FilledDirectory("no_manifest");
  std::filesystem::remove(FilesWith(no_manifest, "MANIFEST").at(0));
  EXPECT_EQ(Open(no_manifest).status().code(), absl::StatusCode::kDataLoss)
      << Open(no_manifest).status();
}

TEST(RocksEngineTest, ADirectoryInUseIsNoDataLoss) {
  const std::string directory = FilledDirectory("locked");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(Open(directory).status().code(), absl::StatusCode::kInternal);
}

// Another state took its place and its files went: whoever still reads it can, and nobody else
// is told of what its background work does not find.
TEST(RocksEngineTest, ARetiredEngineCanStillBeRead) {
  const std::string directory = FilledDirectory("retired");
  auto engine = Open(directory);
  ASSERT_TRUE(engine.ok());
  Put(engine->get(), Family::kDatum, "late", "1");
  const std::shared_ptr<const Reader> view = (*engine)->NewView();
  (*engine)->Retire();
  std::filesystem::remove_all(directory);
  (*engine)->Flush();
  Put(engine->get(), Family::kDatum, "late", "2");
  EXPECT_TRUE((*engine)->damage().ok());
  engine->reset();
  EXPECT_EQ(ValueOf(*view, Family::kDatum, "late"), "1");
  EXPECT_EQ(ValueOf(*view, Family::kDatum, "key7"), std::string(100, 'v'));
}

}  // namespace
}  // namespace store
