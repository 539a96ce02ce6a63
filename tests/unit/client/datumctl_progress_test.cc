// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_progress.h"

#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace client {
namespace {

std::string Plain(uint64_t number) { return std::to_string(number); }

TEST(DatumctlProgress, ALineForEachTenthWhereThereIsNoTerminal) {
  std::ostringstream out;
  ProgressBar bar("save", 1000, /*terminal=*/false, &out, Plain);
  for (uint64_t done = 0; done <= 1000; done += 5) bar.Update(done);
  bar.Finish();
  std::string want;
  for (const char* line : {"  0% 0", " 10% 100", " 20% 200", " 30% 300", " 40% 400", " 50% 500",
                           " 60% 600", " 70% 700", " 80% 800", " 90% 900", "100% 1000"}) {
    want += "save " + std::string(line) + " of 1000\n";
  }
  EXPECT_EQ(out.str(), want);
}

TEST(DatumctlProgress, ABarGrowsInItsLine) {
  std::ostringstream out;
  ProgressBar bar("save", 4, /*terminal=*/true, &out, Plain);
  bar.Update(1);
  bar.Update(1);  // draws nothing new
  bar.Update(4);
  bar.Finish();
  const std::string quarter =
      "\rsave [" + std::string(10, '=') + std::string(30, ' ') + "]  25% 1 of 4\x1b[K";
  const std::string whole = "\rsave [" + std::string(40, '=') + "] 100% 4 of 4\x1b[K";
  EXPECT_EQ(out.str(), quarter + whole + whole + "\n");
}

TEST(DatumctlProgress, WithoutATotalItCounts) {
  std::ostringstream out;
  ProgressBar bar("restore", 0, /*terminal=*/false, &out, Plain);
  for (const uint64_t done : {1, 9999, 10000, 10001, 30000}) bar.Update(done);
  EXPECT_EQ(out.str(), "restore 1\nrestore 10000\nrestore 30000\n");
}

}  // namespace
}  // namespace client
