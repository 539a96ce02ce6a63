// SPDX-License-Identifier: Apache-2.0

#include "server/answer_room.h"
#include "tests/unit/server/services_fixture.h"

namespace server {
namespace {

TEST_F(ServicesTest, WhatTakesSpaceIsRefusedBeforeItIsInTheLogWhileADiskIsFull) {
  etcdserverpb::AlarmMember& full = state_.raised.emplace_back();
  full.set_alarm(etcdserverpb::NOSPACE);
  const auto put = Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k"));
  EXPECT_EQ(put.status().message(), "etcdserver: mvcc: database space exceeded");
  etcdserverpb::TxnRequest txn;
  *txn.add_failure()->mutable_request_put() = PutOf("k");
  EXPECT_FALSE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  EXPECT_TRUE(replica_.commands.empty());

  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::DeleteRangeResponse>("KV/DeleteRange", remove).ok());
  EXPECT_EQ(replica_.commands.size(), 1u);
}

TEST_F(ServicesTest, PutGoesDownThePublishPathAndGivesTheAnswersBytes) {
  etcdserverpb::PutResponse answer;
  answer.mutable_header()->set_revision(8);
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {absl::OkStatus(), answer.SerializeAsString()}};
  const auto response = Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->header().revision(), 8);
  etcdserverpb::InternalRaftRequest command;
  ASSERT_TRUE(command.ParseFromString(replica_.commands.at(0)));
  EXPECT_EQ(command.put().key(), "k");
  EXPECT_EQ(replica_.last_deadline, clock_.now + std::chrono::seconds(7));
  call_.until = clock_.now + std::chrono::seconds(1);
  ASSERT_TRUE(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).ok());
  EXPECT_EQ(replica_.last_deadline, call_.until);
}

TEST_F(ServicesTest, ABadRequestNeverEntersTheLog) {
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("")).status(),
            ErrorStatus(WireError::kEmptyKey));
  etcdserverpb::PutRequest large = PutOf("k");
  large.set_value(std::string(1000, 'v'));
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", large).status(),
            ErrorStatus(WireError::kRequestTooLarge));
  EXPECT_TRUE(replica_.commands.empty());
}

// Seen on etcd 3.7.1, member 6156c1793b18ae64: 1,572,839 bytes under "k" pass, one more does not.
TEST_F(ServicesTest, TheLargestRequestIsEtcdsToTheByte) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  const auto fits = [&](uint64_t member_id, size_t value_bytes) {
    const Gate gate(GateOptions{.member_id = member_id}, &replica_, &clock_);
    etcdserverpb::InternalRaftRequest request;
    *request.mutable_put() = PutOf("k");
    request.mutable_put()->set_value(std::string(value_bytes, 'v'));
    absl::Status status;
    gate.Publish(call_, request, [&](absl::Status ended, std::string) { status = ended; });
    return status.ok();
  };
  EXPECT_TRUE(fits(0x6156c1793b18ae64, 1'572'839));
  EXPECT_FALSE(fits(0x6156c1793b18ae64, 1'572'840));
  EXPECT_TRUE(fits(0x6156c1793b182e64, 1'572'840)) << "an id that is a byte shorter";
  EXPECT_FALSE(fits(0x6156c1793b182e64, 1'572'841));
}

TEST_F(ServicesTest, EachOutcomeOfAPublishHasItsError) {
  const auto status_of = [&](PublishOutcome::Kind kind) {
    replica_.outcome.kind = kind;
    return Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status();
  };
  EXPECT_EQ(status_of(PublishOutcome::Kind::kDropped), ErrorStatus(WireError::kLeaderChanged));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kRefused), ErrorStatus(WireError::kTooManyRequests));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kNoLeader), ErrorStatus(WireError::kNoLeader));
  EXPECT_EQ(status_of(PublishOutcome::Kind::kUnknown), ErrorStatus(WireError::kTimeout));
  replica_.node.leader_lost_at = clock_.now - std::chrono::seconds(1);
  EXPECT_EQ(status_of(PublishOutcome::Kind::kUnknown),
            ErrorStatus(WireError::kTimeoutLeaderFailed));
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {store::ErrorStatus(store::Error::kCompacted), ""}};
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kCompacted));
}

TEST_F(ServicesTest, RangeIsLinearizableUnlessItSaysSerializable) {
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  auto response = Ask<etcdserverpb::RangeResponse>("KV/Range", range);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->count(), 7);
  EXPECT_EQ(response->header().raft_term(), 3u);
  EXPECT_EQ(replica_.reads, 1);
  replica_.read_outcome = raft::ReadOutcome::kLeaderChanged;
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kLeaderChanged));
  range.set_serializable(true);
  EXPECT_TRUE(Ask<etcdserverpb::RangeResponse>("KV/Range", range).ok());
  EXPECT_EQ(replica_.reads, 2);
  range.set_revision(99);
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kFutureRevision));
}

TEST_F(ServicesTest, ATxnThatOnlyReadsIsNotPublished) {
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn)->succeeded());
  EXPECT_EQ(replica_.reads, 1);
  txn.add_failure()->mutable_request_put()->set_key("k");
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  EXPECT_EQ(replica_.commands.size(), 1u);
  for (int i = 0; i < 4; ++i) txn.add_compare()->set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  txn.add_compare()->set_key("k");
  EXPECT_EQ(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).status(),
            ErrorStatus(WireError::kTooManyOps));
}

TxnRequest TxnsInside(int depth) {
  TxnRequest txn;
  txn.add_success()->mutable_request_put()->set_key("k");
  for (; depth > 1; --depth) {
    TxnRequest outer;
    outer.add_success()->mutable_request_txn()->Swap(&txn);
    txn.Swap(&outer);
  }
  return txn;
}

TEST_F(ServicesTest, ATxnMayBeAsDeepAsItsOperationsAllowAndWhatIsDecodedTwiceIsDecodable) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), ""}};
  const KvService deep(&gate_, &space_, &state_, &memory_, &compactions_, 128);
  rpc::Registry registry;
  deep.Register(&registry);
  const auto ask = [&](int depth) {
    absl::Status status;
    std::get<rpc::UnaryHandler> (*registry.Find("/etcdserverpb.KV/Txn"))(
        call_, TxnsInside(depth).SerializeAsString(),
        [&](absl::Status ended, std::string) { status = ended; });
    return status;
  };
  for (const int depth : {49, 50, 128}) EXPECT_TRUE(ask(depth).ok()) << depth;
  EXPECT_EQ(replica_.commands.size(), 3u);
  EXPECT_EQ(ask(129), ErrorStatus(WireError::kTooManyOps));
  EXPECT_EQ(ask(400), ErrorStatus(WireError::kTooManyOps));
  EXPECT_EQ(ask(9000).code(), absl::StatusCode::kInternal) << "not decoded at all";
  EXPECT_EQ(replica_.commands.size(), 3u);
}

TEST_F(ServicesTest, APhysicalCompactionIsAnsweredWhenItsVersionsAreDropped) {
  replica_.outcome = {PublishOutcome::Kind::kApplied, {absl::OkStatus(), "answer"}};
  etcdserverpb::CompactionRequest request;
  request.set_revision(7);
  request.set_physical(true);
  std::vector<std::string> answers;
  const auto ask = [&] {
    std::get<rpc::UnaryHandler> (*registry_.Find("/etcdserverpb.KV/Compact"))(
        call_, request.SerializeAsString(), [&](absl::Status status, std::string response) {
          answers.push_back(status.ok() ? response : std::string(status.message()));
        });
  };
  ask();
  compactions_.Look(6, clock_.now);
  EXPECT_TRUE(answers.empty());
  compactions_.Look(7, clock_.now);
  EXPECT_EQ(answers, std::vector<std::string>{"answer"});
  ask();
  compactions_.Look(6, clock_.now + std::chrono::hours(1));
  ask();
  compactions_.Stop();
  EXPECT_EQ(answers, (std::vector<std::string>{"answer", "etcdserver: request timed out",
                                               "etcdserver: server stopped"}));
}

TEST_F(ServicesTest, HasleaderHearsAtOnceThatThereIsNone) {
  replica_.node.leader = raft::kNobody;
  call_.hasleader = true;
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kNoLeader));
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kNoLeader));
  EXPECT_TRUE(replica_.commands.empty());
}

TEST_F(ServicesTest, MemberListSaysWhatTheStateKnows) {
  state_.known.members[33].client_urls = {"http://h:4"};
  state_.known.members[44].is_learner = true;
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  const auto list = Ask<etcdserverpb::MemberListResponse>("Cluster/MemberList", request);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(replica_.reads, 1);
  EXPECT_EQ(list->header().revision(), 0);
  ASSERT_EQ(list->members_size(), 3);
  EXPECT_EQ(list->members(0).name(), "a");
  EXPECT_EQ(list->members(0).peerurls(0), "http://h:1");
  EXPECT_EQ(list->members(1).clienturls(0), "http://h:4");
  EXPECT_TRUE(list->members(2).islearner());
}

TEST_F(ServicesTest, AChangeThatCameTooLateIsPlannedAnew) {
  etcdserverpb::MemberRemoveResponse answer;
  answer.add_members()->set_id(22);
  replica_.change_outcomes = {{PublishOutcome::Kind::kConfigurationChanged, {}},
                              {PublishOutcome::Kind::kDropped, {}}};
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {absl::OkStatus(), answer.SerializeAsString()}};
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(33);
  const auto removed = Ask<etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", request);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->members(0).id(), 22u);
  EXPECT_EQ(replica_.changes.size(), 3u);
  EXPECT_EQ(replica_.changes[0].second, raft::Index(6));
  EXPECT_EQ(replica_.reads, 3) << "each from the newest membership";
}

TEST_F(ServicesTest, AChangeWhoseOutcomeIsNotKnownIsNotRepeated) {
  replica_.outcome.kind = PublishOutcome::Kind::kUnknown;
  etcdserverpb::MemberAddRequest request;
  request.add_peerurls("http://h:9");
  EXPECT_EQ(Ask<etcdserverpb::MemberAddResponse>("Cluster/MemberAdd", request).status(),
            ErrorStatus(WireError::kTimeout));
  EXPECT_EQ(replica_.changes.size(), 1u);
  request.clear_peerurls();
  EXPECT_EQ(Ask<etcdserverpb::MemberAddResponse>("Cluster/MemberAdd", request).status(),
            ErrorStatus(WireError::kMemberBadUrls));
  replica_.outcome.kind = PublishOutcome::Kind::kLearnerNotReady;
  state_.known.members[44].is_learner = true;
  etcdserverpb::MemberPromoteRequest promote;
  promote.set_id(44);
  EXPECT_EQ(Ask<etcdserverpb::MemberPromoteResponse>("Cluster/MemberPromote", promote).status(),
            ErrorStatus(WireError::kLearnerNotReady));
}

TEST_F(ServicesTest, ALearnerAndALostStateServeNoWritesAndNoLinearizableReads) {
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  replica_.node.is_learner = true;
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kNotSupportedForLearner));
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kNotSupportedForLearner));
  range.set_serializable(true);
  EXPECT_TRUE(Ask<etcdserverpb::RangeResponse>("KV/Range", range).ok());
  replica_.node.state_lost = true;
  EXPECT_EQ(Ask<etcdserverpb::RangeResponse>("KV/Range", range).status(),
            ErrorStatus(WireError::kStateLost));
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", PutOf("k")).status(),
            ErrorStatus(WireError::kStateLost));
  EXPECT_TRUE(absl::IsUnavailable(ErrorStatus(WireError::kStateLost)));
}

TEST(ErrorsTest, EveryRowHasItsTextAndOnlySureLossesMayBeRetried) {
  std::set<std::string> texts;
  for (int i = 0; i < kWireErrorCount; ++i) {
    const absl::Status status = ErrorStatus(static_cast<WireError>(i));
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(texts.insert(std::string(status.message())).second) << status;
  }
  EXPECT_TRUE(MayRetryWrite(WireError::kLeaderChanged));
  EXPECT_TRUE(MayRetryWrite(WireError::kTooManyRequests));
  EXPECT_FALSE(MayRetryWrite(WireError::kTimeout));
  EXPECT_FALSE(MayRetryWrite(WireError::kStopped));
}

TEST(ErrorsTest, EveryStoreErrorKeepsItsCodeAndText) {
  for (int i = 0; i < store::kErrorCount; ++i) {
    const absl::Status named = store::ErrorStatus(static_cast<store::Error>(i));
    const absl::Status wire = FromStore(named);
    if (static_cast<store::Error>(i) == store::Error::kUndecodable) continue;
    EXPECT_EQ(wire.code(), named.code());
    EXPECT_EQ(wire.message(), named.message());
  }
  EXPECT_EQ(FromStore(absl::DataLossError("disk")), ErrorStatus(WireError::kStateLost));
  EXPECT_EQ(FromStore(store::AppliedAnswerTooLarge(7)),
            absl::ResourceExhaustedError("datum: the request was applied, but its answer is larger "
                                         "than max (7 bytes) and is not sent"));
}

TEST_F(ServicesTest, ALargeTxnWaitsForMemoryAndASmallOneDoesNot) {
  auto full = memory_.NewClaim();
  ASSERT_TRUE(full->Grow(1000));
  // The one place among those who wait.
  memory_.Wait(base::kForever, [](bool) {});
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  state_.txn_value_bytes = 100'000;
  EXPECT_EQ(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).status(),
            ErrorStatus(WireError::kAnswerMemoryFull));
  state_.txn_value_bytes = 10'000;
  EXPECT_EQ(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).status(),
            ErrorStatus(WireError::kAnswerMemoryFull))
      << "above 4 KiB";
  full.reset();
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok());
  EXPECT_EQ(memory_.bytes(), 0u);
}

TEST_F(ServicesTest, ABoundedReadIsAskedAgainOnceThereIsRoom) {
  std::string now = "small";
  int asked = 0;
  const rpc::UnaryHandler read = BoundedRead(
      &memory_, &gate_, [&](const rpc::Call&, const std::string& request, rpc::UnaryDone done) {
        ++asked;
        EXPECT_EQ(request, "question");
        done(absl::OkStatus(), now);
      });
  std::optional<absl::Status> ended;
  rpc::Answer got;
  const auto ask = [&] {
    ended.reset();
    read(call_, "question", [&](absl::Status status, rpc::Answer answer) {
      ended = std::move(status);
      got = std::move(answer);
    });
  };
  auto full = memory_.NewClaim();
  ASSERT_TRUE(full->Grow(1000));
  ask();
  EXPECT_EQ(ended, absl::OkStatus()) << "small";
  now = std::string(5'000, 'o');
  ask();
  EXPECT_EQ(ended, std::nullopt);
  now = std::string(6'000, 'n');
  full.reset();
  EXPECT_EQ(ended, absl::OkStatus());
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(got.pieces().front().front(), 'n') << "what was newest then";
  EXPECT_EQ(memory_.bytes(), 6'000u);
  ask();
  memory_.Look(gate_.DeadlineOf(call_));
  EXPECT_EQ(ended, ErrorStatus(WireError::kAnswerMemoryFull));
  got = rpc::Answer();
  EXPECT_EQ(memory_.bytes(), 0u);
}

TEST_F(ServicesTest, AWriteThatAnswersWithValuesIsNotBegunWithoutMemoryForThem) {
  etcdserverpb::TxnResponse large;
  large.add_responses()->mutable_response_range()->add_kvs()->set_value(std::string(10'000, 'v'));
  replica_.outcome = {PublishOutcome::Kind::kApplied,
                      {absl::OkStatus(), large.SerializeAsString()}};
  auto full = memory_.NewClaim();
  ASSERT_TRUE(full->Grow(1000));
  memory_.Wait(base::kForever, [](bool) {});
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_put() = PutOf("k");
  EXPECT_TRUE(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).ok()) << "answers with none";
  EXPECT_EQ(replica_.commands.size(), 1u);
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_EQ(Ask<etcdserverpb::TxnResponse>("KV/Txn", txn).status(),
            ErrorStatus(WireError::kAnswerMemoryFull));
  etcdserverpb::PutRequest put = PutOf("k");
  put.set_prev_kv(true);
  EXPECT_EQ(Ask<etcdserverpb::PutResponse>("KV/Put", put).status(),
            ErrorStatus(WireError::kAnswerMemoryFull));
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("k");
  remove.set_prev_kv(true);
  EXPECT_EQ(Ask<etcdserverpb::DeleteRangeResponse>("KV/DeleteRange", remove).status(),
            ErrorStatus(WireError::kAnswerMemoryFull));
  EXPECT_EQ(replica_.commands.size(), 1u);
  full.reset();
  std::shared_ptr<const void> held;
  std::get<rpc::UnaryHandler> (*registry_.Find("/etcdserverpb.KV/Txn"))(
      call_, txn.SerializeAsString(), [&](const absl::Status& status, const rpc::Answer& answer) {
        EXPECT_TRUE(status.ok()) << status;
        held = answer.held();
      });
  EXPECT_EQ(memory_.bytes(), large.ByteSizeLong()) << "until it has left";
  held.reset();
  EXPECT_EQ(memory_.bytes(), 0u);
}

}  // namespace
}  // namespace server
