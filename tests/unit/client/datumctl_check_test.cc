// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_check.h"

#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace client {
namespace {

std::string Verdict(const Samples& samples, bool passes) {
  std::ostringstream out;
  EXPECT_EQ(Judge(samples, 150, &out), passes) << out.str();
  return out.str();
}

TEST(DatumctlCheck, PassesInEtcdctlsWords) {
  Samples samples{.seconds = std::vector<double>(1499, 0.002), .took = absl::Seconds(10)};
  EXPECT_EQ(Verdict(samples, true),
            "PASS: Throughput is 150 writes/s\nPASS: Slowest request took 0.002000s\n"
            "PASS: Stddev is 0.000000s\nPASS\n");
}

TEST(DatumctlCheck, EachLimitFailsByItself) {
  Samples slow{.seconds = std::vector<double>(1350, 0.002), .took = absl::Seconds(10)};
  EXPECT_EQ(Verdict(slow, false).substr(0, 48),
            "FAIL: Throughput too low: 136 writes/s\nPASS: Slo");
  Samples one_slow{.seconds = std::vector<double>(1499, 0.002), .took = absl::Seconds(10)};
  one_slow.seconds[7] = 0.501;
  EXPECT_NE(Verdict(one_slow, false).find("\nSlowest request took too long: 0.501000s\n"),
            std::string::npos);
  Samples uneven{.seconds = std::vector<double>(1499, 0.0), .took = absl::Seconds(10)};
  for (size_t i = 0; i < uneven.seconds.size(); i += 2) uneven.seconds[i] = 0.3;
  EXPECT_NE(Verdict(uneven, false).find("\nStddev too high: 0.15"), std::string::npos);
  Samples errors{.seconds = std::vector<double>(1499, 0.002),
                 .errors = {{"no leader", 3}},
                 .took = absl::Seconds(10)};
  EXPECT_EQ(Verdict(errors, false).substr(0, 56),
            "FAIL: too many errors\nFAIL: ERROR(no leader) -> 3\nPASS: ");
}

TEST(DatumctlCheck, WithoutOneWriteItFails) {
  EXPECT_NE(Verdict({.took = absl::Seconds(10)}, false).find("Throughput too low: 1 "),
            std::string::npos);
}

}  // namespace
}  // namespace client
