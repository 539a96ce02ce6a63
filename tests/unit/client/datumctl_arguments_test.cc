// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_arguments.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace client {
namespace {

using Line = std::vector<std::string>;

Arguments Parsed(const Line& line) {
  const ParsedLine parsed = ParseCommandLine(line);
  EXPECT_TRUE(parsed.run) << parsed.error;
  return parsed.arguments;
}

TEST(DatumctlArguments, GlobalFlagsStandBeforeAndAfterTheVerb) {
  for (const Line& line : {Line{"--endpoints=a:1,b:2", "-w", "json", "get", "k"},
                           Line{"get", "k", "--endpoints=a:1,b:2", "--write-out=json"},
                           Line{"get", "--endpoints", "a:1,b:2", "k", "-w", "json"},
                           Line{"--endpoints=a:1", "--endpoints=b:2", "get", "k", "-w", "json"}}) {
    const Arguments arguments = Parsed(line);
    EXPECT_EQ(arguments.verb, Verb::kGet);
    EXPECT_EQ(arguments.get.key, "k");
    EXPECT_EQ(arguments.options.endpoints, (Line{"a:1", "b:2"}));
    EXPECT_EQ(arguments.format, OutputFormat::kJson);
  }
}

TEST(DatumctlArguments, VerbsAndTheirShortForms) {
  EXPECT_EQ(Parsed({"endpoint", "status"}).verb, Verb::kEndpointStatus);
  EXPECT_EQ(Parsed({"status"}).verb, Verb::kEndpointStatus);
  EXPECT_EQ(Parsed({"endpoint", "health", "--cluster"}).whole_cluster, true);
  EXPECT_EQ(Parsed({"endpoint", "--cluster", "health"}).whole_cluster, true);
  EXPECT_EQ(Parsed({"member", "list"}).verb, Verb::kMemberList);
  EXPECT_EQ(Parsed({"members"}).verb, Verb::kMemberList);
  const Arguments add =
      Parsed({"member", "add", "n4", "--learner", "--peer-urls=http://a:1,http://b:2"});
  EXPECT_EQ(add.verb, Verb::kMemberAdd);
  EXPECT_EQ(add.member.name, "n4");
  EXPECT_TRUE(add.member.is_learner);
  EXPECT_EQ(add.member.peer_urls, (std::vector<std::string>{"http://a:1", "http://b:2"}));
  EXPECT_EQ(Parsed({"member", "remove", "8e9e05c52164694d"}).verb, Verb::kMemberRemove);
  EXPECT_EQ(Parsed({"member", "promote", "1"}).verb, Verb::kMemberPromote);
  EXPECT_EQ(Parsed({"member", "update", "1", "--peer-urls=http://a:1"}).verb, Verb::kMemberUpdate);
  EXPECT_EQ(Parsed({"move-leader", "1"}).verb, Verb::kMoveLeader);
  EXPECT_EQ(*ParseMemberId("8e9e05c52164694d"), 0x8e9e05c52164694d);
  EXPECT_FALSE(ParseMemberId("no id").ok());
  EXPECT_EQ(Parsed({"compaction", "5", "--physical"}).compaction_physical, true);
  EXPECT_EQ(Parsed({"compact", "5"}).compaction_revision, 5);
  EXPECT_EQ(Parsed({"txn", "-i"}).txn_interactive, true);
  EXPECT_EQ(Parsed({"version"}).verb, Verb::kVersion);
}

// What CLI11 would read as a list, or drop, is a value like any other.
TEST(DatumctlArguments, ValuesAreTakenAsTheyAre) {
  for (const std::string value : {"", "[a,b]", "{}", "a=b", "\"q\"", "--x", "-", "%%"}) {
    const Arguments arguments = Parsed({"put", "k", "--", value});
    EXPECT_TRUE(arguments.put.has_value);
    EXPECT_EQ(arguments.put.value, value);
  }
  EXPECT_FALSE(Parsed({"put", "k"}).put.has_value);
  EXPECT_TRUE(Parsed({"get", "", "--prefix"}).get.key.empty());
}

TEST(DatumctlArguments, Durations) {
  EXPECT_EQ(Parsed({"get", "k", "--command-timeout=300ms"}).options.call_timeout,
            absl::Milliseconds(300));
  EXPECT_EQ(ParseCommandLine({"get", "k", "--dial-timeout=soon"}).exit_code, 2);
  EXPECT_EQ(ParseCommandLine({"get", "k", "--dial-timeout=-1s"}).exit_code, 2);
}

TEST(DatumctlArguments, BadUsageIsTwoAndHelpIsNone) {
  for (const Line& line : {Line{}, Line{"gett"}, Line{"get"}, Line{"get", "k", "--no-such"},
                           Line{"get", "a", "b", "c"}, Line{"compaction", "five"}, Line{"endpoint"},
                           Line{"get", "k", "--limit=x"}, Line{"get", "k", "-w", "yaml"},
                           Line{"get", "k", "--insecure-transport=false"}}) {
    const ParsedLine parsed = ParseCommandLine(line);
    EXPECT_FALSE(parsed.run);
    EXPECT_EQ(parsed.exit_code, 2);
    EXPECT_FALSE(parsed.error.empty());
  }
  EXPECT_EQ(ParseCommandLine({"gett", "a"}).error,
            "unknown command 'gett'\nRun with --help for more information.\n");
  const ParsedLine help = ParseCommandLine({"get", "--help"});
  EXPECT_FALSE(help.run);
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("--sort-by"), std::string::npos);
}

TEST(DatumctlArguments, RangesOfGetAndDel) {
  GetArguments get{.key = "a"};
  EXPECT_EQ(RequestOf(get)->range_end(), "");
  get.prefix = true;
  EXPECT_EQ(RequestOf(get)->range_end(), "b");
  get.key = "";
  EXPECT_EQ(RequestOf(get)->key(), std::string(1, '\0'));
  EXPECT_EQ(RequestOf(get)->range_end(), std::string(1, '\0'));
  get.from_key = true;
  EXPECT_FALSE(RequestOf(get).ok());
  DeleteArguments del{.key = "a", .range_end = "c", .has_range_end = true};
  EXPECT_EQ(RequestOf(del)->range_end(), "c");
  del.prefix = true;
  EXPECT_FALSE(RequestOf(del).ok());
}

TEST(DatumctlArguments, SortsAndBounds) {
  GetArguments get{.key = "a", .order = "descend", .sort_by = "modify"};
  EXPECT_EQ(RequestOf(get)->sort_order(), etcdserverpb::RangeRequest::DESCEND);
  EXPECT_EQ(RequestOf(get)->sort_target(), etcdserverpb::RangeRequest::MOD);
  get = {.key = "a", .order = "ASCEND", .sort_by = "KEY"};
  EXPECT_EQ(RequestOf(get)->sort_order(), etcdserverpb::RangeRequest::NONE);
  get = {.key = "a", .order = "UP"};
  EXPECT_FALSE(RequestOf(get).ok());
  get = {.key = "a", .min_mod_revision = 5, .max_mod_revision = 4};
  EXPECT_FALSE(RequestOf(get).ok());
  get = {.key = "a", .keys_only = true, .count_only = true};
  EXPECT_FALSE(RequestOf(get).ok());
}

TEST(DatumctlArguments, ACommandStandsBehindTheDashesOfWatchAndLock) {
  Arguments arguments = Parsed({"watch", "a", "b", "--rev=3", "-w", "json", "--", "echo", "-n"});
  EXPECT_EQ(arguments.verb, Verb::kWatch);
  EXPECT_EQ(arguments.watch.range_end, "b");
  EXPECT_EQ(arguments.watch.revision, 3);
  EXPECT_EQ(arguments.format, OutputFormat::kJson);
  EXPECT_EQ(arguments.command, (Line{"echo", "-n"}));
  EXPECT_EQ(Parsed({"lock", "name", "--ttl=3", "--", "sh", "-c", "x"}).command,
            (Line{"sh", "-c", "x"}));
  // Without dashes, as etcdctl takes it.
  arguments = Parsed({"--endpoints=a:1", "lock", "name", "echo", "hi"});
  EXPECT_EQ(arguments.session.name, "name");
  EXPECT_EQ(arguments.command, (Line{"echo", "hi"}));
  EXPECT_TRUE(Parsed({"lock", "name"}).command.empty());
  EXPECT_EQ(Parsed({"lock", "name", "echo", "--", "-n"}).command, (Line{"echo", "-n"}));
  for (const Line& line : {Line{"watch", "a", "--"}, Line{"lock", "a", "--"}, Line{"lock"}}) {
    EXPECT_EQ(ParseCommandLine(line).exit_code, 2) << line.back();
  }
}

TEST(DatumctlArguments, LinesOfAnInteractiveWatch) {
  const auto line = ParseWatchLine({"watch", "a", "--prefix", "--rev", "7", "--", "echo", "hi"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, (Line{"echo", "hi"}));
  const auto request = RequestOf(line->watch);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->range_end(), "b");
  EXPECT_EQ(request->start_revision(), 7);
  EXPECT_EQ(RequestOf(ParseWatchLine({"watch", "a", "--rev=-1"})->watch)->start_revision(), -1);
  EXPECT_FALSE(ParseWatchLine({"watch", "a", "--"}).ok());
  EXPECT_FALSE(ParseWatchLine({"watch", "a", "--rev=x"}).ok());
  EXPECT_FALSE(RequestOf(ParseWatchLine({"watch"})->watch).ok());
  EXPECT_FALSE(RequestOf(ParseWatchLine({"watch", "a", "b", "--prefix"})->watch).ok());
}

TEST(DatumctlArguments, VerbsOfTheCluster) {
  EXPECT_EQ(Parsed({"lease", "timetolive", "1f", "--keys"}).lease.keys, true);
  EXPECT_EQ(Parsed({"lease", "keep-alive", "--once", "1f"}).lease.once, true);
  EXPECT_EQ(Parsed({"lease", "list"}).verb, Verb::kLeaseList);
  EXPECT_EQ(Parsed({"endpoint", "hashkv", "--rev=4", "--cluster"}).hash_revision, 4);
  EXPECT_EQ(Parsed({"defrag", "--cluster"}).whole_cluster, true);
  EXPECT_EQ(Parsed({"alarm", "disarm"}).verb, Verb::kAlarmDisarm);
  EXPECT_EQ(Parsed({"check", "perf", "--load=xl"}).check.load, "xl");
  EXPECT_EQ(ParseCommandLine({"check", "perf", "--load=y"}).exit_code, 2);
  const Arguments mirror = Parsed({"make-mirror", "a:1,b:2", "--prefix=p", "--no-dest-prefix"});
  EXPECT_EQ(mirror.mirror.destination, (Line{"a:1", "b:2"}));
  EXPECT_EQ(ParseCommandLine({"make-mirror", "a:1", "--max-txn-ops=0"}).exit_code, 2);
  const Arguments restore =
      Parsed({"snapshot", "restore", "f.db", "--name=n1", "--bump-revision=9", "--mark-compacted",
              "--initial-advertise-peer-urls=http://a:1,http://a:2"});
  EXPECT_EQ(restore.snapshot.peer_urls, (Line{"http://a:1", "http://a:2"}));
  EXPECT_EQ(restore.snapshot.bump_revision, 9);
  EXPECT_FALSE(restore.has_call_timeout);
  EXPECT_TRUE(Parsed({"snapshot", "save", "f", "--command-timeout=9s"}).has_call_timeout);
  EXPECT_EQ(Parsed({"elect", "-l", "name"}).session.listen, true);
}

TEST(DatumctlArguments, VerbsWithoutATableRefuseIt) {
  for (const Line& line : {Line{"get", "a"}, Line{"put", "a", "b"}, Line{"del", "a"}, Line{"txn"},
                           Line{"lease", "list"}, Line{"alarm", "list"}, Line{"watch", "a"}}) {
    Line with_table = line;
    with_table.insert(with_table.end(), {"-w", "table"});
    const ParsedLine parsed = ParseCommandLine(with_table);
    EXPECT_EQ(parsed.exit_code, 2) << line.front();
    EXPECT_NE(parsed.error.find("table not supported as output format"), std::string::npos);
  }
  EXPECT_TRUE(ParseCommandLine({"member", "list", "-w", "table"}).run);
}

TEST(DatumctlArguments, PutsAndLeases) {
  PutArguments put{.key = "a", .lease = "1f"};
  EXPECT_EQ(RequestOf(put, "from stdin")->value(), "from stdin");
  EXPECT_EQ(RequestOf(put, "v")->lease(), 0x1f);
  EXPECT_FALSE(RequestOf(put, "").ok()) << "nothing came from stdin";
  put.lease = "xyz";
  EXPECT_FALSE(RequestOf(put, "v").ok());
  put = {.key = "a", .value = "", .has_value = true};
  EXPECT_TRUE(RequestOf(put, "").ok());
  put = {.key = "a", .value = "v", .has_value = true, .ignore_value = true};
  EXPECT_FALSE(RequestOf(put, "").ok());
  EXPECT_FALSE(ParseLeaseId("").ok());
  EXPECT_FALSE(ParseLeaseId("ffffffffffffffffff").ok());
}

}  // namespace
}  // namespace client
