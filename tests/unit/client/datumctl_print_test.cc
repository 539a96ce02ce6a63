// SPDX-License-Identifier: Apache-2.0
//
// tests/compat compares with etcdctl itself; here is what needs no server.

#include "client/datumctl_print.h"

#include <sstream>
#include <string>

#include "client/datumctl_json.h"
#include "gtest/gtest.h"

namespace client {
namespace {

etcdserverpb::RangeResponse OneDatum() {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_revision(5);
  mvccpb::KeyValue* datum = response.add_kvs();
  datum->set_key("a");
  datum->set_value("1");
  datum->set_mod_revision(5);
  response.set_count(1);
  return response;
}

std::string Printed(const PrintOptions& options, const etcdserverpb::RangeResponse& response) {
  std::ostringstream out;
  MakePrinter(options, &out, &out)->Get(response);
  return out.str();
}

TEST(DatumctlPrint, ARangeInEachFormat) {
  EXPECT_EQ(Printed({}, OneDatum()), "a\n1\n");
  EXPECT_EQ(Printed({.value_only = true}, OneDatum()), "1\n");
  EXPECT_EQ(Printed({.hex = true}, OneDatum()), "\\x61\n\\x31\n");
  EXPECT_EQ(Printed({.format = OutputFormat::kJson}, OneDatum()),
            "{\"header\":{\"revision\":5},\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":5,\"value\":"
            "\"MQ==\"}],\"count\":1}\n");
  EXPECT_EQ(Printed({.format = OutputFormat::kFields}, etcdserverpb::RangeResponse()),
            "\"ClusterID\" : 0\n\"MemberID\" : 0\n\"RaftTerm\" : 0\n\"More\" : false\n\"Count\" : "
            "0\n");
}

TEST(DatumctlPrint, AnUnhealthyEndpointGoesToStderr) {
  std::ostringstream out;
  std::ostringstream err;
  MakePrinter({}, &out, &err)->Health({{"h:1", true, "1ms", ""}, {"h:2", false, "", "down"}});
  EXPECT_EQ(out.str(), "h:1 is healthy: successfully committed proposal: took = 1ms\n");
  EXPECT_EQ(err.str(), "h:2 is unhealthy: failed to commit proposal: down\n");
}

TEST(DatumctlPrint, AStatusWithoutASizeDoesNotDivideByIt) {
  std::ostringstream out;
  MakePrinter({}, &out, &out)->Status({{"h:1", etcdserverpb::StatusResponse()}});
  EXPECT_EQ(out.str(), "h:1, 0, , , 0 B, 0 B, 0%, 0 B, true, false, 0, 0, 0, , , false\n");
}

TEST(DatumctlPrint, ATableLinesUp) {
  etcdserverpb::MemberListResponse response;
  response.add_members()->set_id(255);
  std::ostringstream out;
  MakePrinter({.format = OutputFormat::kTable}, &out, &out)->Members(response);
  EXPECT_EQ(out.str(),
            "┌────┬───────────┬──────┬────────────┬──────────────┬────────────┐\n"
            "│ ID │  STATUS   │ NAME │ PEER ADDRS │ CLIENT ADDRS │ IS LEARNER │\n"
            "├────┼───────────┼──────┼────────────┼──────────────┼────────────┤\n"
            "│ ff │ unstarted │      │            │              │      false │\n"
            "└────┴───────────┴──────┴────────────┴──────────────┴────────────┘\n");
}

TEST(DatumctlJson, NestedAnswersKeepTheNameOfTheirOneof) {
  etcdserverpb::TxnResponse txn;
  txn.set_succeeded(true);
  txn.add_responses()->mutable_response_txn()->add_responses()->mutable_response_put();
  EXPECT_EQ(GoJson(txn),
            "{\"succeeded\":true,\"responses\":[{\"Response\":{\"response_txn\":{\"responses\":[{"
            "\"Response\":{\"response_put\":{}}}]}}}]}");
}

TEST(DatumctlJson, HexIdsAreThereEvenIfZero) {
  etcdserverpb::MemberListResponse response;
  response.mutable_header();
  response.add_members()->set_id(255);
  EXPECT_EQ(
      GoJson(response, true),
      "{\"header\":{\"cluster_id\":\"0\",\"member_id\":\"0\"},\"members\":[{\"ID\":\"ff\"}]}");
}

}  // namespace
}  // namespace client
