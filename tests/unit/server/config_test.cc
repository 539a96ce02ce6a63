// SPDX-License-Identifier: Apache-2.0

#include "server/config.h"

#include "gtest/gtest.h"

namespace server {
namespace {

Config Three(const std::string& name, const std::string& url) {
  Config config;
  config.name = name;
  config.initial_advertise_peer_urls = {url};
  config.initial_cluster = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3";
  return config;
}

TEST(ConfigTest, TheDefaultMemberHasTheIdsThatEtcdGivesIt) {
  const auto cluster = ComputeInitialCluster(Config());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->self, 0x8e9e05c52164694dU);
  EXPECT_EQ(cluster->cluster_id, 0xcdf818194e3a8c32U);
}

TEST(ConfigTest, AllMembersComputeTheSameCluster) {
  const auto a = ComputeInitialCluster(Three("a", "http://127.0.0.1:1"));
  const auto b = ComputeInitialCluster(Three("b", "http://127.0.0.1:2"));
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  EXPECT_EQ(a->cluster_id, b->cluster_id);
  EXPECT_NE(a->self, b->self);
  EXPECT_EQ(a->members.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(a->members[i].id, b->members[i].id);

  Config other_token = Three("a", "http://127.0.0.1:1");
  other_token.initial_cluster_token = "another";
  EXPECT_NE(ComputeInitialCluster(other_token)->cluster_id, a->cluster_id);
}

TEST(ConfigTest, ErrorsNameTheFlag) {
  const auto why = [](const Config& config) { return std::string(config.Validate().message()); };
  EXPECT_TRUE(Config().Validate().ok());
  Config config;
  config.election_timeout = 4 * config.heartbeat_interval;
  EXPECT_EQ(why(config), "--election-timeout: it must be at least five heartbeat intervals");
  config = Config();
  config.listen_client_urls = {"https://127.0.0.1:1"};
  EXPECT_EQ(why(config),
            "--listen-client-urls: 'https://127.0.0.1:1': https is not served yet, only http");
}

TEST(ConfigTest, TheInitialClusterIsCheckedWhereItCounts) {
  const auto why = [](const Config& config) {
    EXPECT_TRUE(config.Validate().ok()) << "a directory that knows itself needs none of it";
    return std::string(ComputeInitialCluster(config).status().message());
  };
  EXPECT_NE(why(Three("d", "http://127.0.0.1:4")).find("--initial-cluster: this member's name"),
            std::string::npos);
  EXPECT_NE(why(Three("a", "http://127.0.0.1:9")).find("--initial-advertise-peer-urls"),
            std::string::npos);
  Config config;
  config.initial_cluster = "default";
  EXPECT_EQ(why(config), "--initial-cluster: 'default' is not name=url");
}

TEST(ConfigTest, UrlsAreHostAndPort) {
  EXPECT_EQ(ParseUrl("http://[::1]:80")->Address(), "[::1]:80");
  EXPECT_EQ(ParseUrl("http://h:1/")->Address(), "h:1");
  for (const char* bad : {"", "h:1", "http://h", "http://:1", "http://h:65536", "http://h:x",
                          "http://h:1/path", "ftp://h:1"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace server
