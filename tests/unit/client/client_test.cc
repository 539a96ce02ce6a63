// SPDX-License-Identifier: Apache-2.0

#include "client/client.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/fake_server.h"

namespace client {
namespace {

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "etcdserver: leader changed");

Options Quick(std::vector<std::string> endpoints) {
  Options options;
  options.endpoints = std::move(endpoints);
  options.call_timeout = absl::Seconds(20);
  options.pause_first = absl::Milliseconds(1);
  options.pause_longest = absl::Milliseconds(5);
  options.rounds_max = 3;
  return options;
}

std::unique_ptr<Client> Make(Options options) {
  auto made = Client::Create(std::move(options));
  CHECK(made.ok()) << made.status();
  return *std::move(made);
}

// An endpoint at which nothing listens, because what did has ended.
std::string DeadEndpoint() {
  FakeServer server;
  server.Stop();
  return server.endpoint();
}

etcdserverpb::TxnRequest ReadOnlyTxn() {
  Transaction transaction;
  transaction.If(ModRevision("a").Is(">", 0)).Then(RangeOf("a"));
  return transaction.request();
}

TEST(Client, RefusesOptionsThatCannotWork) {
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Create(Quick({})).status()));
  for (const std::string endpoint : {"", "https://a:1", "http://a:1/path", "unixs:/a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Client::Create(Quick({endpoint})).status())) << endpoint;
  }
  Options options = Quick({"127.0.0.1:1"});
  options.call_timeout = absl::ZeroDuration();
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Create(options).status()));
}

TEST(Client, TakesEndpointsAsUrls) {
  FakeServer server;
  const auto client = Make(Quick({"http://" + server.endpoint()}));
  const auto response = client->Put("a", "1");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->header().revision(), 7);
}

TEST(Client, AWriteMovesOnFromAnEndpointThatCannotBeReached) {
  FakeServer alive;
  const auto client = Make(Quick({DeadEndpoint(), alive.endpoint()}));
  const auto response = client->Put("a", "1");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(alive.puts(), 1);
}

TEST(Client, TheNextCallBeginsWhereTheLastWasAnswered) {
  FakeServer first;
  FakeServer second;
  first.answer = kUnavailable;
  const auto client = Make(Quick({first.endpoint(), second.endpoint()}));
  ASSERT_TRUE(client->Range(RangeOf("a")).ok());
  ASSERT_TRUE(client->Put("a", "1").ok());
  EXPECT_EQ(first.ranges(), 1);
  EXPECT_EQ(first.puts(), 0);
  EXPECT_EQ(second.puts(), 1);
}

// Unavailable from the server says nothing of whether the write ran.
TEST(Client, AWriteIsNeverSentTwice) {
  FakeServer first;
  FakeServer second;
  first.answer = kUnavailable;
  const auto client = Make(Quick({first.endpoint(), second.endpoint()}));
  const auto response = client->Put("a", "1");
  EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
  EXPECT_EQ(response.status().message(), "etcdserver: leader changed");
  EXPECT_EQ(first.puts(), 1);
  EXPECT_EQ(second.puts(), 0);
}

TEST(Client, AWriteThatIsNotAnsweredEndsByItsDeadlineAndStaysWhereItIs) {
  FakeServer silent;
  FakeServer second;
  silent.silent = true;
  Options options = Quick({silent.endpoint(), second.endpoint()});
  options.call_timeout = absl::Milliseconds(200);
  const auto client = Make(options);
  const auto response = client->Put("a", "1");
  EXPECT_TRUE(absl::IsDeadlineExceeded(response.status())) << response.status();
  EXPECT_EQ(second.puts(), 0);
  silent.Stop();
  EXPECT_LE(silent.puts(), 1);
}

TEST(Client, ATxnThatWritesIsAWriteAndOneThatReadsIsARead) {
  FakeServer first;
  FakeServer second;
  first.answer = kUnavailable;
  {
    const auto client = Make(Quick({first.endpoint(), second.endpoint()}));
    Transaction writes;
    writes.Then(RangeOf("a")).Else(PutOf("a", "1"));
    EXPECT_TRUE(absl::IsUnavailable(client->Txn(writes.request()).status()));
    EXPECT_EQ(second.txns(), 0);
  }
  const auto client = Make(Quick({first.endpoint(), second.endpoint()}));
  EXPECT_TRUE(client->Txn(ReadOnlyTxn()).ok());
  EXPECT_EQ(second.txns(), 1);
}

TEST(Client, AReadGoesOnToTheNextEndpoint) {
  FakeServer first;
  FakeServer second;
  first.answer = kUnavailable;
  const auto client = Make(Quick({first.endpoint(), DeadEndpoint(), second.endpoint()}));
  EXPECT_TRUE(client->Range(RangeOf("a")).ok());
  EXPECT_EQ(first.ranges(), 1);
  EXPECT_EQ(second.ranges(), 1);
}

TEST(Client, AReadGoesOnFromAnEndpointThatIsSilent) {
  FakeServer silent;
  FakeServer second;
  silent.silent = true;
  Options options = Quick({silent.endpoint(), second.endpoint()});
  options.read_attempt_timeout = absl::Milliseconds(200);
  const auto client = Make(options);
  EXPECT_TRUE(client->Range(RangeOf("a")).ok());
  EXPECT_EQ(second.ranges(), 1);
}

TEST(Client, ReadsAreTriedABoundedNumberOfTimes) {
  FakeServer server;
  server.answer = kUnavailable;
  const auto client = Make(Quick({server.endpoint()}));
  const auto response = client->Range(RangeOf("a"));
  EXPECT_TRUE(absl::IsUnavailable(response.status()));
  EXPECT_EQ(server.ranges(), 3);
}

TEST(Client, AnAnswerThatIsAnErrorIsNotTriedAgain) {
  FakeServer first;
  FakeServer second;
  first.answer = grpc::Status(grpc::StatusCode::OUT_OF_RANGE,
                              "etcdserver: mvcc: required revision has been compacted");
  const auto client = Make(Quick({first.endpoint(), second.endpoint()}));
  const auto response = client->Range(RangeOf("a"));
  EXPECT_TRUE(absl::IsOutOfRange(response.status()));
  EXPECT_EQ(response.status().message(), "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(second.ranges(), 0);
}

// A learner refuses before it looks at a request, so even a write may go elsewhere.
TEST(Client, AWriteMovesOnFromALearner) {
  FakeServer learner;
  FakeServer voter;
  learner.answer = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                "etcdserver: rpc not supported for learner");
  const auto client = Make(Quick({learner.endpoint(), voter.endpoint()}));
  EXPECT_TRUE(client->Put("a", "1").ok());
  EXPECT_EQ(voter.puts(), 1);
}

TEST(Client, NamesTheEndpointThatCannotBeReached) {
  const std::string dead = DeadEndpoint();
  const auto client = Make(Quick({dead}));
  const auto response = client->Put("a", "1");
  EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
  EXPECT_NE(std::string(response.status().message()).find(dead), std::string::npos)
      << response.status();
}

TEST(Client, StatusAsksOnlyTheEndpointThatIsMeant) {
  FakeServer server;
  const auto client = Make(Quick({server.endpoint()}));
  EXPECT_TRUE(absl::IsInvalidArgument(client->Status("127.0.0.1:1").status()));
  // The fake has no Maintenance service.
  EXPECT_TRUE(absl::IsUnimplemented(client->Status(server.endpoint()).status()));
}

TEST(Client, GetOfAKeyThatIsNotThereIsNotFound) {
  FakeServer server;
  const auto client = Make(Quick({server.endpoint()}));
  EXPECT_TRUE(absl::IsNotFound(client->Get("a").status()));
}

}  // namespace
}  // namespace client
