// SPDX-License-Identifier: Apache-2.0

#include "server/app_log.h"

#include <unistd.h>

#include <array>

#include "gtest/gtest.h"

namespace server {
namespace {

class AppLogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(pipe_.data()), 0); }

  std::string ReadAll() {
    close(pipe_[1]);
    std::string all;
    std::array<char, 4096> some;
    for (ssize_t got = 0; (got = read(pipe_[0], some.data(), some.size())) > 0;) {
      all.append(some.data(), static_cast<size_t>(got));
    }
    close(pipe_[0]);
    return all;
  }

  std::array<int, 2> pipe_{};
};

TEST_F(AppLogTest, LinesArriveInOrder) {
  {
    AppLog log(pipe_[1]);
    log.Write("one");
    log.Write("two");
    EXPECT_TRUE(log.Drain(std::chrono::hours(1)));
    log.Write("three");
  }
  EXPECT_EQ(ReadAll(), "one\ntwo\nthree\n");
}

// Far more than the pipe and the budget hold; nobody reads before all is said.
TEST_F(AppLogTest, NobodyWaitsForAReaderAndWhatIsDroppedIsCounted) {
  const std::string line(1000, 'x');
  auto log = std::make_unique<AppLog>(pipe_[1], 10'000);
  for (int i = 0; i < 1000; ++i) log->Write(line);
  std::thread reader_starts_late([&] { log = nullptr; });
  std::string all;
  std::array<char, 4096> some;
  while (all.find("were dropped here") == std::string::npos) {
    const ssize_t got = read(pipe_[0], some.data(), some.size());
    ASSERT_GT(got, 0);
    all.append(some.data(), static_cast<size_t>(got));
  }
  reader_starts_late.join();
  EXPECT_EQ(all.substr(0, 1001), line + "\n");
  EXPECT_LT(all.size(), 200'000u);
}

}  // namespace
}  // namespace server
