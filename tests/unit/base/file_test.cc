// SPDX-License-Identifier: Apache-2.0
//
// What both file systems promise alike.

#include "base/file.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/simulated_file.h"
#include "gtest/gtest.h"

namespace base {
namespace {

std::unique_ptr<FileSystem> MakeFileSystem(bool simulated) {
  if (simulated) return std::make_unique<SimulatedFileSystem>();
  return std::make_unique<PosixFileSystem>();
}

class FileTest : public testing::TestWithParam<bool> {
 protected:
  FileTest() : files_(MakeFileSystem(GetParam())) {
    std::filesystem::remove_all(directory_);
    EXPECT_TRUE(files_->MakeDirectory(directory_).ok());
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  const std::string directory_ = testing::TempDir() + "file_test";
  const std::unique_ptr<FileSystem> files_;
};

TEST_P(FileTest, WhatIsWrittenIsRead) {
  auto file = files_->Open(Path("a"), true);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->WriteAt(0, "hello world").ok());
  ASSERT_TRUE((*file)->WriteAt(6, "there").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ((*file)->ReadAt(0, 100).value(), "hello there");
  EXPECT_EQ((*file)->ReadAt(6, 2).value(), "th");
  EXPECT_EQ((*file)->ReadAt(11, 5).value(), "");
  EXPECT_EQ((*file)->ReadAt(99, 5).value(), "");
  EXPECT_EQ((*file)->Size().value(), 11u);
}

TEST_P(FileTest, AGapIsZeros) {
  auto file = files_->Open(Path("a"), true);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(3, "x").ok());
  EXPECT_EQ((*file)->ReadAt(0, 4).value(), std::string("\0\0\0x", 4));
}

TEST_P(FileTest, AMissingFileIsOpenedOnlyToBeMade) {
  EXPECT_TRUE(absl::IsNotFound(files_->Open(Path("a"), false).status()));
  EXPECT_TRUE(files_->Open(Path("a"), true).ok());
  EXPECT_TRUE(files_->Open(Path("a"), false).ok());
}

TEST_P(FileTest, NamesAreListedRenamedAndRemoved) {
  for (const char* name : {"b", "a", "c"}) ASSERT_TRUE(files_->Open(Path(name), true).ok());
  EXPECT_EQ(files_->List(directory_).value(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(files_->Rename(Path("b"), Path("z")).ok());
  ASSERT_TRUE(files_->Rename(Path("a"), Path("c")).ok());  // replaces
  EXPECT_EQ(files_->List(directory_).value(), (std::vector<std::string>{"c", "z"}));
  ASSERT_TRUE(files_->Remove(Path("z")).ok());
  EXPECT_TRUE(files_->SyncDirectory(directory_).ok());
  EXPECT_EQ(files_->List(directory_).value(), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(absl::IsNotFound(files_->Remove(Path("z"))));
  EXPECT_TRUE(absl::IsNotFound(files_->Rename(Path("z"), Path("y"))));
}

TEST_P(FileTest, ADirectoryMayBeMadeTwice) { EXPECT_TRUE(files_->MakeDirectory(directory_).ok()); }

INSTANTIATE_TEST_SUITE_P(Both, FileTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Simulated" : "Posix"; });

TEST(PosixFileSystem, ErrorsNameThePath) {
  PosixFileSystem files;
  const std::string path = testing::TempDir() + "file_test_no_directory/a";
  const absl::Status status = files.Open(path, true).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(status.message().find(path), std::string::npos) << status;
  EXPECT_FALSE(files.List(path).ok());
  EXPECT_FALSE(files.SyncDirectory(path).ok());
}

TEST(PosixFileSystem, AFileIsNoDirectory) {
  PosixFileSystem files;
  const std::string path = testing::TempDir() + "file_test_plain";
  ASSERT_TRUE(files.Open(path, true).ok());
  EXPECT_FALSE(files.MakeDirectory(path).ok());
  EXPECT_TRUE(files.Remove(path).ok());
}

}  // namespace
}  // namespace base
