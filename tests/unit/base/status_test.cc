// SPDX-License-Identifier: Apache-2.0

#include "base/status.h"

#include <memory>

#include "base/canary.h"
#include "base/time.h"
#include "gtest/gtest.h"

namespace base {
namespace {

absl::Status Pass(const absl::Status& status, int* reached) {
  RETURN_IF_ERROR(status);
  ++*reached;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<int>> Make(bool good) {
  if (!good) return absl::NotFoundError("none");
  return std::make_unique<int>(3);
}

absl::StatusOr<int> Sum(bool first, bool second) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> a, Make(first));
  ASSIGN_OR_RETURN(const std::unique_ptr<int> b, Make(second));
  return *a + *b;
}

TEST(Status, AnErrorLeavesTheFunctionWhereItIs) {
  int reached = 0;
  EXPECT_TRUE(Pass(absl::OkStatus(), &reached).ok());
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(Pass(absl::AbortedError("no"), &reached), absl::AbortedError("no"));
  EXPECT_EQ(reached, 1);
}

TEST(Status, AValueIsMovedOutOrTheErrorReturned) {
  EXPECT_EQ(Sum(true, true).value(), 6);
  EXPECT_EQ(Sum(true, false).status(), absl::NotFoundError("none"));
  EXPECT_EQ(Sum(false, true).status(), absl::NotFoundError("none"));
}

TEST(Canary, IsNeverPlantedInTheProduct) {
  static_assert(!Planted("ack-before-fsync"));
  static_assert(!Planted(""));
}

TEST(Clock, DoesNotGoBack) {
  const SystemClock clock;
  TimePoint last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = clock.Now();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_LT(last, kForever);
}

}  // namespace
}  // namespace base
