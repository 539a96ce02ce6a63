// SPDX-License-Identifier: Apache-2.0

#include "store/snapshot_files.h"

#include "base/crc32c.h"
#include "base/simulated_file.h"
#include "gtest/gtest.h"

namespace store {
namespace {

class SnapshotFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(files_.MakeDirectory("from").ok());
    Put("a", std::string(3'000'000, 'a'));
    Put("b", "");
    Put("c", "short");
    auto manifest = ListSnapshotFiles(&files_, "from");
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    manifest_ = *std::move(manifest);
  }

  void Put(const std::string& name, const std::string& bytes) {
    auto file = files_.Open("from/" + name, true);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }
  std::string Get(const std::string& path) {
    auto file = files_.Open(path, false);
    return file.ok() ? *(*file)->ReadAt(0, 10'000'000) : "cannot be opened";
  }
  std::unique_ptr<SnapshotStaging> Begin() {
    auto staging = SnapshotStaging::Begin(&files_, "to", manifest_);
    EXPECT_TRUE(staging.ok()) << staging.status();
    return *std::move(staging);
  }
  size_t StagedFiles() { return files_.List("to")->size(); }

  base::SimulatedFileSystem files_;
  std::vector<SnapshotFile> manifest_;
};

TEST_F(SnapshotFilesTest, TellsWhatIsThere) {
  ASSERT_EQ(manifest_.size(), 3u);
  EXPECT_EQ(manifest_[0].name, "a");
  EXPECT_EQ(manifest_[0].length, 3'000'000u);
  EXPECT_EQ(manifest_[0].crc, base::Crc32c(std::string(3'000'000, 'a')));
  EXPECT_EQ(manifest_[1].length, 0u);
  EXPECT_EQ(manifest_[2].crc, base::Crc32c("short"));
}

TEST_F(SnapshotFilesTest, PutsTogetherWhatCameAndMakesItDurable) {
  auto staging = Begin();
  const std::string a(3'000'000, 'a');
  ASSERT_TRUE(staging->Write(0, 0, std::string_view(a).substr(0, 1'000'000)).ok());
  ASSERT_TRUE(staging->Write(0, 1'000'000, std::string_view(a).substr(1'000'000)).ok());
  ASSERT_TRUE(staging->Write(2, 0, "short").ok());
  ASSERT_TRUE(staging->Finish().ok());
  staging->Release();
  staging.reset();
  base::Random random(1);
  ASSERT_TRUE(files_.SyncDirectory(".").ok());
  files_.LosePower(&random);
  EXPECT_EQ(Get("to/a"), a);
  EXPECT_EQ(Get("to/b"), "");
  EXPECT_EQ(Get("to/c"), "short");
}

TEST_F(SnapshotFilesTest, RefusesOtherBytes) {
  auto staging = Begin();
  const absl::Status written = staging->Write(0, 0, std::string(3'000'000, 'b'));
  EXPECT_TRUE(absl::IsDataLoss(written)) << written;
  staging.reset();
  EXPECT_EQ(StagedFiles(), 0u);
}

TEST_F(SnapshotFilesTest, RefusesWhatIsNotTheNextPiece) {
  auto staging = Begin();
  EXPECT_FALSE(staging->Write(0, 5, "a").ok());
  EXPECT_FALSE(staging->Write(2, 0, "short").ok());
  EXPECT_FALSE(staging->Write(7, 0, "short").ok());
  EXPECT_FALSE(staging->Write(0, 0, std::string(3'000'001, 'a')).ok());
}

TEST_F(SnapshotFilesTest, RefusesAnEndBeforeTheEnd) {
  auto staging = Begin();
  ASSERT_TRUE(staging->Write(0, 0, std::string(3'000'000, 'a')).ok());
  EXPECT_FALSE(staging->Finish().ok());
}

TEST_F(SnapshotFilesTest, ANewOneBeginsEmpty) {
  auto staging = Begin();
  staging->Release();
  staging.reset();
  EXPECT_GT(StagedFiles(), 0u);
  manifest_ = {{"z", 1, 0}};
  staging = Begin();
  EXPECT_EQ(*files_.List("to"), (std::vector<std::string>{"z"}));
}

TEST_F(SnapshotFilesTest, RefusesNamesThatLeadElsewhere) {
  for (const std::string& name : {std::string("../a"), std::string(".."), std::string("/etc/a"),
                                  std::string(""), std::string("a\0b", 3)}) {
    EXPECT_FALSE(SnapshotStaging::Begin(&files_, "to", {{name, 1, 0}}).ok()) << name;
  }
  EXPECT_FALSE(SnapshotStaging::Begin(&files_, "to", {}).ok());
  EXPECT_FALSE(SnapshotStaging::Begin(&files_, "to", {{"b", 1, 0}, {"a", 1, 0}}).ok());
  EXPECT_FALSE(SnapshotStaging::Begin(&files_, "to", {{"a", 1, 0}, {"a", 1, 0}}).ok());
}

}  // namespace
}  // namespace store
