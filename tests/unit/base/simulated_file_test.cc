// SPDX-License-Identifier: Apache-2.0

#include "base/simulated_file.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

constexpr size_t kSector = 512;

std::unique_ptr<File> Open(SimulatedFileSystem* files, const std::string& path) {
  auto file = files->Open(path, true);
  EXPECT_TRUE(file.ok());
  return *std::move(file);
}

std::string Content(SimulatedFileSystem* files, const std::string& path) {
  auto file = files->Open(path, false);
  return file.ok() ? (*file)->ReadAt(0, 1 << 20).value() : "(none)";
}

TEST(SimulatedFile, KeepsWhatWasSynced) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    SimulatedFileSystem files;
    auto file = Open(&files, "d/a");
    ASSERT_TRUE(file->WriteAt(0, std::string(kSector, 's')).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("d").ok());
    ASSERT_TRUE(file->WriteAt(kSector, std::string(kSector, 'u')).ok());
    files.LosePower(&random);
    EXPECT_EQ(Content(&files, "d/a").substr(0, kSector), std::string(kSector, 's'));
    EXPECT_EQ(files.sync_count(), 1u);
  }
}

// Of a sector that was not synced, everything that disks do is seen over some seeds.
TEST(SimulatedFile, LosesKeepsTearsAndZeroesWhatWasNot) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Random random(seed);
    SimulatedFileSystem files;
    auto file = Open(&files, "d/a");
    ASSERT_TRUE(file->WriteAt(0, std::string(kSector, 'o')).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("d").ok());
    ASSERT_TRUE(file->WriteAt(0, std::string(kSector, 'n')).ok());
    files.LosePower(&random);
    const std::string content = Content(&files, "d/a");
    ASSERT_EQ(content.size(), kSector);
    const size_t torn_at = content.find('o');
    if (content == std::string(kSector, 'o')) {
      seen.insert("lost");
    } else if (content == std::string(kSector, 'n')) {
      seen.insert("kept");
    } else if (content == std::string(kSector, '\0')) {
      seen.insert("zeroed");
    } else {
      EXPECT_EQ(content, std::string(torn_at, 'n') + std::string(kSector - torn_at, 'o'));
      EXPECT_EQ(torn_at % 8, 0u);
      seen.insert("torn");
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"kept", "lost", "torn", "zeroed"}));
}

TEST(SimulatedFile, ANameThatWasNotSyncedMayGo) {
  std::set<bool> there;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    SimulatedFileSystem files;
    ASSERT_TRUE(Open(&files, "d/a")->Sync().ok());
    files.LosePower(&random);
    there.insert(files.Open("d/a", false).ok());
  }
  EXPECT_EQ(there, (std::set<bool>{false, true}));
}

TEST(SimulatedFile, AKilledProcessLosesNothing) {
  SimulatedFileSystem files;
  ASSERT_TRUE(Open(&files, "d/a")->WriteAt(0, "not synced").ok());
  files.KillProcess();
  EXPECT_EQ(Content(&files, "d/a"), "not synced");
}

TEST(SimulatedFile, ThePowerGoesAtTheOperationThatWasSaid) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  files.LosePowerAfter(3);
  EXPECT_TRUE(file->WriteAt(0, "1").ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_THROW(static_cast<void>(file->WriteAt(1, "3")), PowerLoss);
  Random random(1);
  files.LosePower(&random);
  EXPECT_TRUE(Open(&files, "d/b")->WriteAt(0, "on again").ok());
}

TEST(SimulatedFile, CorruptionIsDurable) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  ASSERT_TRUE(file->WriteAt(0, "abc").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files.SyncDirectory("d").ok());
  files.Corrupt("d/a", 1, "X");
  Random random(1);
  files.LosePower(&random);
  EXPECT_EQ(Content(&files, "d/a"), "aXc");
}

// fsyncgate: what a refused sync was to write is gone, and the next one calls it clean.
TEST(SimulatedFile, ARefusedSyncDropsItsDataAndThenSaysClean) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  ASSERT_TRUE(files.SyncDirectory("d").ok());
  ASSERT_TRUE(file->WriteAt(0, "lost").ok());
  files.set_faults({.sync_error = 1}, 1);
  EXPECT_FALSE(file->Sync().ok());
  files.set_faults({}, 1);
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(Content(&files, "d/a"), "lost");
  Random random(1);
  files.LosePower(&random);
  EXPECT_EQ(Content(&files, "d/a"), "");
}

TEST(SimulatedFile, ReadsAndWritesAreRefusedOrShort) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  ASSERT_TRUE(file->WriteAt(0, std::string(1000, 'x')).ok());
  files.set_faults({.read_error = 1, .write_error = 1}, 1);
  EXPECT_FALSE(file->ReadAt(0, 10).ok());
  EXPECT_FALSE(file->WriteAt(0, "y").ok());
  files.set_faults({.short_read = 1}, 1);
  EXPECT_LT(file->ReadAt(0, 1000)->size(), 1000u);
  files.set_faults({}, 1);
  EXPECT_EQ(*file->ReadAt(0, 1000), std::string(1000, 'x'));
}

TEST(SimulatedFile, AFullDiskTakesWhatFits) {
  SimulatedFileSystem files;
  auto filled_ahead = Open(&files, "d/a");
  ASSERT_TRUE(filled_ahead->WriteAt(0, std::string(100, 'a')).ok());
  files.set_quota_bytes(130);
  auto file = Open(&files, "d/b");
  EXPECT_EQ(file->WriteAt(0, std::string(50, 'b')).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Content(&files, "d/b"), std::string(30, 'b'));
  EXPECT_TRUE(filled_ahead->WriteAt(50, std::string(50, 'c')).ok());
  ASSERT_TRUE(files.Remove("d/a").ok());
  EXPECT_TRUE(file->WriteAt(0, std::string(130, 'b')).ok());
  EXPECT_EQ(files.used_bytes(), 130u);
}

TEST(SimulatedFile, BitsRotForGood) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  ASSERT_TRUE(file->WriteAt(0, std::string(4 * kSector, 'x') + std::string(kSector, '\0')).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files.SyncDirectory("d").ok());
  Random random(1);
  const auto hit = files.FlipBits("d", 1, &random);
  ASSERT_EQ(hit.size(), 4u);
  files.set_faults({.bit_flip = 1}, 2);
  ASSERT_TRUE(file->ReadAt(0, kSector).ok());
  files.set_faults({}, 1);
  ASSERT_EQ(files.flips().size(), 5u);
  files.LosePower(&random);
  const std::string content = Content(&files, "d/a");
  for (const auto& flip : hit) EXPECT_NE(content[flip.offset], 'x') << flip.offset;
}

TEST(SimulatedFile, TheHookSeesEachOperationAndMayRefuseIt) {
  SimulatedFileSystem files;
  auto file = Open(&files, "d/a");
  std::string seen;
  bool refuse = false;
  files.set_on_operation([&](DiskOperation operation, const std::string& path) {
    seen += path + std::to_string(static_cast<int>(operation)) + " ";
    return refuse ? absl::UnavailableError("stuck") : absl::OkStatus();
  });
  ASSERT_TRUE(file->WriteAt(0, "1").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files.SyncDirectory("d").ok());
  ASSERT_TRUE(file->ReadAt(0, 1).ok());
  EXPECT_EQ(seen, "d/a1 d/a2 d3 d/a0 ");
  refuse = true;
  EXPECT_FALSE(file->WriteAt(0, "2").ok());
  EXPECT_FALSE(files.SyncDirectory("d").ok());
}

// Names that were not synced go each for itself: of two removals the second alone may last.
TEST(SimulatedFile, NamesAreLostEachForItself) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    SimulatedFileSystem files;
    Open(&files, "d/a");
    Open(&files, "d/b");
    ASSERT_TRUE(files.SyncDirectory("d").ok());
    ASSERT_TRUE(files.Remove("d/a").ok());
    ASSERT_TRUE(files.Rename("d/b", "d/c").ok());
    ASSERT_TRUE(files.SyncDirectory("e").ok());
    files.LosePower(&random);
    std::string names;
    const std::vector<std::string> listed = files.List("d").value();
    for (const std::string& name : listed) names += name;
    seen.insert(names);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"ab", "ac", "b", "c"}));
}

TEST(SimulatedFile, AtomicSectorsAreNotTornInside) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    SimulatedFileSystem files;
    files.set_sectors_atomic(true);
    auto file = Open(&files, "d/a");
    ASSERT_TRUE(file->WriteAt(0, std::string(kSector, 'o')).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("d").ok());
    ASSERT_TRUE(file->WriteAt(0, std::string(kSector, 'n')).ok());
    files.LosePower(&random);
    const std::string content = Content(&files, "d/a");
    EXPECT_EQ(content, std::string(kSector, content[0]));
  }
}

}  // namespace
}  // namespace base
