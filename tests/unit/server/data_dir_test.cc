// SPDX-License-Identifier: Apache-2.0

#include "server/data_dir.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "gtest/gtest.h"

namespace server {
namespace {

std::string NewPath() {
  std::string path = testing::TempDir() + "/data_dir.XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path;
}

TEST(DataDirTest, IsMadeForItsOwnerAlone) {
  const std::string path = NewPath() + "/new";
  const auto opened = DataDir::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  struct stat facts = {};
  ASSERT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  EXPECT_EQ((*opened)->state(3), path + "/state-3");
}

TEST(DataDirTest, IsOneMembersAtATime) {
  const std::string path = NewPath();
  auto first = DataDir::Open(path);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(DataDir::Open(path).status(),
            absl::UnavailableError("data directory " + path + " is in use by a running member"));
  first->reset();
  EXPECT_TRUE(DataDir::Open(path).ok());
}

TEST(DataDirTest, SaysWhatIsWrong) {
  const std::string file = NewPath() + "/file";
  std::ofstream(file) << "x";
  EXPECT_EQ(DataDir::Open(file).status(),
            absl::FailedPreconditionError("data directory " + file + ": Not a directory"));
  const std::string nowhere = NewPath() + "/a/b";
  EXPECT_EQ(
      DataDir::Open(nowhere).status(),
      absl::FailedPreconditionError("data directory " + nowhere + ": No such file or directory"));
}

}  // namespace
}  // namespace server
