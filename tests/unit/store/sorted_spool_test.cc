// SPDX-License-Identifier: Apache-2.0

#include "store/sorted_spool.h"

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/simulated_file.h"
#include "gtest/gtest.h"

namespace store {
namespace {

std::vector<std::string> All(const SortedSpool& spool, size_t most = SIZE_MAX) {
  std::vector<std::string> all;
  const absl::Status walked =
      spool.ForEach([&](const SortedSpool::Item& item) -> absl::StatusOr<bool> {
        all.push_back(absl::StrCat(item.revision.main, ".", item.revision.sub, " ", item.key, " ",
                                   item.value_bytes));
        return all.size() < most;
      });
  EXPECT_TRUE(walked.ok()) << walked;
  return all;
}

class SortedSpoolTest : public testing::TestWithParam<size_t> {};

TEST_P(SortedSpoolTest, ComesOutByRevisionAsOftenAsWanted) {
  base::PosixFileSystem files;
  SortedSpool spool(&files, testing::TempDir() + "/spool", GetParam());
  base::Random random(5);
  std::vector<int64_t> revisions;
  for (int64_t i = 1; i <= 3'000; ++i) revisions.push_back(i);
  for (size_t i = revisions.size(); i > 1; --i) {
    std::swap(revisions[i - 1], revisions[random.Below(i)]);
  }
  std::vector<std::string> expected;
  for (int64_t i = 1; i <= 3'000; ++i)
    expected.push_back(absl::StrCat(i, ".", i % 3, " key", i, " ", i * 2));
  for (const int64_t i : revisions) {
    ASSERT_TRUE(spool
                    .Add({{i, static_cast<int32_t>(i % 3)},
                          static_cast<uint32_t>(i * 2),
                          absl::StrCat("key", i)})
                    .ok());
  }
  ASSERT_TRUE(spool.Finish().ok());
  EXPECT_EQ(All(spool), expected);
  EXPECT_EQ(All(spool), expected);
  EXPECT_EQ(All(spool, 7).size(), 7u);
}

INSTANTIATE_TEST_SUITE_P(RunBytes, SortedSpoolTest, testing::Values(1, 1'000, 50'000, 8 << 20));

}  // namespace
}  // namespace store
