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

}  // namespace
}  // namespace base
