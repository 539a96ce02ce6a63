// SPDX-License-Identifier: Apache-2.0

#include "store/errors.h"

#include <string>

#include "gtest/gtest.h"

namespace store {
namespace {

TEST(ErrorsTest, EveryErrorComesBackOutOfItsStatus) {
  for (int i = 0; i < kErrorCount; ++i) {
    const auto error = static_cast<Error>(i);
    const absl::Status status = ErrorStatus(error);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(ErrorOf(status), error);
  }
}

TEST(ErrorsTest, OtherStatusesAreNoErrorsOfTheStore) {
  EXPECT_EQ(ErrorOf(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(ErrorOf(absl::DataLossError("a block")), std::nullopt);
}

TEST(ErrorsTest, CodesAndTextsAreEtcds) {
  EXPECT_EQ(ErrorStatus(Error::kCompacted).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(std::string(ErrorStatus(Error::kCompacted).message()),
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(ErrorStatus(Error::kLeaseNotFound).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace store
