// SPDX-License-Identifier: Apache-2.0

#include "server/space_watch.h"

#include <filesystem>

#include "gtest/gtest.h"

namespace server {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class SpaceWatchTest : public testing::Test {
 protected:
  SpaceWatchTest() : directory_(testing::TempDir() + "/space_watch") {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }

  SpaceWatch Watch() {
    SpaceWatchOptions options;
    options.directory = directory_;
    options.min_free_bytes = 100 * kMiB;
    options.reserve_bytes = 8 * kMiB;
    return SpaceWatch(options, [this] { return space_; });
  }
  void See(SpaceWatch* watch, uint64_t free_mebibytes) {
    space_.free_bytes = free_mebibytes * kMiB;
    ASSERT_TRUE(watch->Look().ok());
  }
  bool Exists(const std::string& name) { return std::filesystem::exists(directory_ + "/" + name); }

  const std::string directory_;
  DiskSpace space_{0, 10'000 * kMiB};
};

TEST_F(SpaceWatchTest, TakesAReserveInANewDirectory) {
  SpaceWatch watch = Watch();
  See(&watch, 5000);
  EXPECT_FALSE(watch.low());
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/reserve"), 8 * kMiB);
}

TEST_F(SpaceWatchTest, IsLowBelowTheSoftWatermarkUntilThereIsAQuarterMore) {
  SpaceWatch watch = Watch();
  See(&watch, 5000);
  See(&watch, 100);
  EXPECT_FALSE(watch.low());
  See(&watch, 99);
  EXPECT_TRUE(watch.low());
  EXPECT_TRUE(watch.alarm_is_ours());
  EXPECT_TRUE(Exists("reserve.low"));
  See(&watch, 124);
  EXPECT_TRUE(watch.low());
  See(&watch, 125);
  EXPECT_FALSE(watch.low());
  EXPECT_TRUE(Exists("reserve"));
}

TEST_F(SpaceWatchTest, GivesTheReserveUpBelowTheHardWatermarkAndTakesItAgain) {
  SpaceWatch watch = Watch();
  See(&watch, 5000);
  See(&watch, 24);
  EXPECT_TRUE(watch.low());
  EXPECT_FALSE(Exists("reserve"));
  EXPECT_FALSE(Exists("reserve.low"));
  // What the reserve gave back is not room.
  See(&watch, 125);
  EXPECT_TRUE(watch.low());
  See(&watch, 133);
  EXPECT_FALSE(watch.low());
  EXPECT_TRUE(Exists("reserve"));
}

TEST_F(SpaceWatchTest, ARestartKnowsWhoseTheAlarmIs) {
  {
    SpaceWatch watch = Watch();
    See(&watch, 5000);
  }
  EXPECT_FALSE(Watch().alarm_is_ours());
  {
    SpaceWatch watch = Watch();
    See(&watch, 50);
  }
  SpaceWatch again = Watch();
  EXPECT_TRUE(again.low());
  EXPECT_TRUE(again.alarm_is_ours());
  See(&again, 5000);
  EXPECT_FALSE(again.low());
  EXPECT_TRUE(again.alarm_is_ours());  // until it is known to be cleared
  again.AlarmCleared();
  EXPECT_FALSE(again.alarm_is_ours());
}

TEST_F(SpaceWatchTest, ASmallDiskHasSmallWatermarks) {
  space_.all_bytes = 400 * kMiB;
  SpaceWatch watch = Watch();
  See(&watch, 300);
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/reserve"), 8 * kMiB);
  See(&watch, 20);
  EXPECT_FALSE(watch.low());
  See(&watch, 19);
  EXPECT_TRUE(watch.low());
}

}  // namespace
}  // namespace server
