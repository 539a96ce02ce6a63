// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_txn.h"

#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace client {
namespace {

using etcdserverpb::Compare;

absl::StatusOr<etcdserverpb::TxnRequest> Read(const std::string& text,
                                              std::vector<std::string>* prompts = nullptr) {
  std::istringstream in(text);
  return ReadTxn(&in, [prompts](std::string_view prompt) {
    if (prompts != nullptr) prompts->emplace_back(prompt);
  });
}

TEST(DatumctlTxn, ReadsThreeLists) {
  std::vector<std::string> prompts;
  const auto txn =
      Read("mod(\"a\") > \"1\"\n\nput a 'x y' --lease=1f\nget a --prefix\n\ndel a z --prev-kv\n\n",
           &prompts);
  ASSERT_TRUE(txn.ok()) << txn.status();
  ASSERT_EQ(txn->compare_size(), 1);
  EXPECT_EQ(txn->compare(0).mod_revision(), 1);
  ASSERT_EQ(txn->success_size(), 2);
  EXPECT_EQ(txn->success(0).request_put().value(), "x y");
  EXPECT_EQ(txn->success(0).request_put().lease(), 0x1f);
  EXPECT_EQ(txn->success(1).request_range().range_end(), "b");
  ASSERT_EQ(txn->failure_size(), 1);
  EXPECT_EQ(txn->failure(0).request_delete_range().range_end(), "z");
  EXPECT_TRUE(txn->failure(0).request_delete_range().prev_kv());
  EXPECT_EQ(prompts.size(), 3u);
}

// Half a txn must not run.
TEST(DatumctlTxn, RefusesInputThatEndsEarly) {
  for (const std::string text :
       {"", "\n", "\n\n", "mod(\"a\") = \"1\"\n\nput a 1\n", "\n\nput a 1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Read(text).status())) << text;
  }
  EXPECT_TRUE(Read("\n\n\n").ok());
}

TEST(DatumctlTxn, RefusesRequestsItDoesNotKnow) {
  for (const std::string line : {"watch a", "put", "put a", "get a --no-such-flag", "put a \"open",
                                 "del a --prefix --from-key"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Read("\n" + line + "\n\n\n").status())) << line;
  }
}

TEST(DatumctlTxn, ReadsEveryKindOfCompare) {
  struct Case {
    std::string line;
    Compare::CompareTarget target;
    Compare::CompareResult result;
  };
  for (const Case& test :
       std::vector<Case>{{"ver(\"a\") = \"1\"", Compare::VERSION, Compare::EQUAL},
                         {"version(\"a\") != \"1\"", Compare::VERSION, Compare::NOT_EQUAL},
                         {"c(\"a\") < \"1\"", Compare::CREATE, Compare::LESS},
                         {"create(\"a\") > \"1\"", Compare::CREATE, Compare::GREATER},
                         {"m(\"a\") = \"1\"", Compare::MOD, Compare::EQUAL},
                         {"val(\"a\") = \"x\"", Compare::VALUE, Compare::EQUAL},
                         {"value(\"a\")=\"x\"", Compare::VALUE, Compare::EQUAL},
                         {"lease(\"a\") = \"1f\"", Compare::LEASE, Compare::EQUAL}}) {
    const auto compare = ParseCompare(test.line);
    ASSERT_TRUE(compare.ok()) << compare.status();
    EXPECT_EQ(compare->target(), test.target) << test.line;
    EXPECT_EQ(compare->result(), test.result) << test.line;
    EXPECT_EQ(compare->key(), "a");
  }
  EXPECT_EQ(ParseCompare("lease(\"a\") = \"1f\"")->lease(), 0x1f);
}

TEST(DatumctlTxn, RefusesMalformedCompares) {
  for (const std::string line :
       {"mod", "mod(a) = \"1\"", "mod(\"a\" = \"1\"", "size(\"a\") = \"1\"", "mod(\"a\") == \"1\"",
        "mod(\"a\") = 1", "mod(\"a\") = \"one\"", "mod(\"a\") = \"1\" x", "lease(\"a\") = \"xyz\"",
        "mod(\"a\") \"1\""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCompare(line).status())) << line;
  }
}

}  // namespace
}  // namespace client
