// SPDX-License-Identifier: Apache-2.0

#include "server/flags.h"

#include <map>

#include "gtest/gtest.h"

namespace server {
namespace {

absl::StatusOr<CommandLine> Parse(const std::vector<std::string>& arguments,
                                  const std::map<std::string, std::string>& environment = {}) {
  return ParseCommandLine(arguments, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  });
}

std::string Why(const std::vector<std::string>& arguments) {
  return std::string(Parse(arguments).status().message());
}

TEST(FlagsTest, TakesBothFormsAndTheLastOneCounts) {
  const auto line = Parse({"--name=a", "--name", "b", "-max-txn-ops=7", "--election-timeout",
                           "2000", "--grpc-keepalive-timeout=3s"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.name, "b");
  EXPECT_EQ(line->config.data_dir, "b.datum");
  EXPECT_EQ(line->config.max_txn_ops, 7u);
  EXPECT_EQ(line->config.election_timeout, std::chrono::seconds(2));
  EXPECT_EQ(line->config.grpc_keepalive_timeout, std::chrono::seconds(3));
}

TEST(FlagsTest, TheEnvironmentCountsLessThanTheCommandLine) {
  const auto line = Parse({"--name=a"}, {{"ETCD_NAME", "b"},
                                         {"ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:7"},
                                         {"ETCD_UNSUPPORTED_ARCH", "arm"}});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.name, "a");
  EXPECT_EQ(line->config.advertise_client_urls, line->config.listen_client_urls);
  EXPECT_EQ(Parse({}, {{"ETCD_MAX_TXN_OPS", "x"}}).status().message(),
            "ETCD_MAX_TXN_OPS: 'x' is not a whole number");
}

TEST(FlagsTest, SaysWhatIsWrong) {
  EXPECT_EQ(Why({"--nmae=x"}), "unknown flag --nmae");
  EXPECT_EQ(Why({"serve"}), "'serve' is not a flag, and there are no other arguments");
  EXPECT_EQ(Why({"--name"}), "--name: it needs a value");
  EXPECT_EQ(Why({"--election-timeout=soon"}), "--election-timeout: 'soon' is not a number of ms");
  EXPECT_EQ(Why({"--grpc-keepalive-min-time=5"}),
            "--grpc-keepalive-min-time: '5' is not a duration like 20s or 2h");
  EXPECT_EQ(Why({"--pre-vote=maybe"}), "--pre-vote: 'maybe' is not true or false");
  EXPECT_EQ(Why({"--max-request-bytes=0"}), "--max-request-bytes: it must be from 1 to 33554432");
}

TEST(FlagsTest, RefusesWhatItCannotDoAndTellsWhatItIgnores) {
  EXPECT_EQ(Why({"--cert-file=x.pem"}),
            "--cert-file: this version does not serve it yet; leave it out");
  EXPECT_FALSE(Parse({"--auto-tls"}).ok());
  EXPECT_FALSE(Parse({}, {{"ETCD_AUTH_TOKEN", "jwt,pub-key=x"}}).ok());
  const auto line =
      Parse({"--auto-tls=false", "--auth-token=simple", "--cert-file=", "--snapshot-count", "5",
             "--strict-reconfig-check=false"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->without_effect, std::vector<std::string>{"--snapshot-count"});
  EXPECT_FALSE(line->config.strict_reconfig_check);
  EXPECT_TRUE(line->config.replace_wiped_members);
  EXPECT_FALSE(Parse({"--replace-wiped-members=false"})->config.replace_wiped_members);
}

TEST(FlagsTest, HelpAndVersion) {
  EXPECT_EQ(Parse({"--version"})->action, CommandLine::Action::kVersion);
  EXPECT_EQ(Parse({"--help", "--nonsense"})->action, CommandLine::Action::kHelp);
  EXPECT_EQ(VersionText().substr(0, 20), "etcd Version: 3.7.1\n");
  EXPECT_NE(HelpText().find("--heartbeat-interval <ms>  (default: 50)"), std::string::npos);
}

}  // namespace
}  // namespace server
