// SPDX-License-Identifier: Apache-2.0

#include "server/lease_leader.h"

#include "gtest/gtest.h"
#include "server/errors.h"

namespace server {
namespace {

using datum::peer::LeaseRoundResponse;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr raft::NodeId kSelf{1};
constexpr raft::NodeId kSecond{2};
constexpr raft::NodeId kThird{3};
const std::set<raft::NodeId> kThree = {kSelf, kSecond, kThird};

class LeaseLeaderTest : public testing::Test {
 protected:
  LeaseLeaderTest() : leader_({.self = kSelf, .cluster_id = 9, .expiries_max = 3}, &book_) {
    book_.Load({{7, 10}, {8, 20}}, now_);
  }

  LeaseLeader::Effects Advance() {
    LeaseLeader::Effects effects;
    leader_.Advance(now_, &effects);
    for (auto& [renewal, ttl] : effects.answered) renewal.done(ttl);
    return effects;
  }
  void Wait(base::Duration duration) { now_ += duration; }

  // The others answer a question as members would whose book is `book`.
  void Note(const LeaseLeader::Question& question, LeaseBook* book = nullptr) {
    LeaseRoundResponse response;
    response.set_outcome(LeaseRoundResponse::NOTED);
    if (book != nullptr) {
      response.set_forgetful(book->forgetful());
      response.set_session(77);
      if (question.request.tell()) *response.mutable_known() = book->Tell(now_);
    }
    leader_.OnAnswer(question.to, raft::Term(question.request.term()), question.number, response,
                     now_);
  }
  void Say(const LeaseLeader::Question& question, LeaseRoundResponse::Outcome outcome) {
    LeaseRoundResponse response;
    response.set_outcome(outcome);
    leader_.OnAnswer(question.to, raft::Term(question.request.term()), question.number, response,
                     now_);
  }
  // Leads in `term`, with everything known.
  void Serve(uint64_t term) {
    leader_.Lead(raft::Term(term), kThree, now_);
    for (const auto& question : Advance().questions) Note(question);
    Advance();
    ASSERT_TRUE(leader_.serves());
  }
  void KeepAlive(int64_t lease, bool looked_again = false) {
    leader_.Add({.lease = lease,
                 .deadline = now_ + seconds(5),
                 .looked_again = looked_again,
                 .done = [this, lease](absl::StatusOr<int64_t> ttl) {
                   answers_.push_back({lease, std::move(ttl)});
                 }});
  }

  base::TimePoint now_{std::chrono::hours(1)};
  LeaseBook book_;
  LeaseLeader leader_;
  std::vector<std::pair<int64_t, absl::StatusOr<int64_t>>> answers_;
};

TEST_F(LeaseLeaderTest, ARenewalIsAnsweredOnceAQuorumHasNotedIt) {
  Serve(4);
  KeepAlive(7);
  KeepAlive(8);
  Wait(seconds(1));
  const auto effects = Advance();
  ASSERT_EQ(effects.questions.size(), 2u);
  EXPECT_EQ(effects.questions[0].request.renewed_size(), 2);
  EXPECT_EQ(effects.questions[0].request.term(), 4u);
  EXPECT_EQ(effects.questions[0].request.cluster_id(), 9u);
  EXPECT_EQ(effects.questions[0].request.to(), effects.questions[0].to.value());
  EXPECT_TRUE(answers_.empty()) << "the leader alone is no quorum";
  Note(effects.questions[1]);
  Advance();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[0].second.value(), 10);
  EXPECT_EQ(answers_[1].second.value(), 20);
}

TEST_F(LeaseLeaderTest, ARefusalIsNoNoteAndWhoCannotTellYetIsAskedAgain) {
  Serve(4);
  KeepAlive(7);
  auto effects = Advance();
  ASSERT_EQ(effects.questions.size(), 2u);
  Say(effects.questions[0], LeaseRoundResponse::REFUSED);
  Say(effects.questions[1], LeaseRoundResponse::NOT_YET);
  EXPECT_TRUE(Advance().questions.empty());
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(leader_.next_due(), now_ + milliseconds(20));
  Wait(milliseconds(20));
  effects = Advance();
  ASSERT_EQ(effects.questions.size(), 2u);
  Note(effects.questions[0]);
  Advance();
  EXPECT_EQ(answers_.size(), 1u);
}

TEST_F(LeaseLeaderTest, AnAnswerOfAnotherRoundOrTermCountsForNothing) {
  Serve(4);
  KeepAlive(7);
  const auto first = Advance();
  Note(first.questions[0]);
  Advance();
  ASSERT_EQ(answers_.size(), 1u);
  KeepAlive(8);
  const auto second = Advance();
  Note(first.questions[1]);
  Advance();
  EXPECT_EQ(answers_.size(), 1u) << "that one had noted the first";
  ASSERT_FALSE(second.questions.empty());
  auto other_term = second.questions[0];
  other_term.request.set_term(3);
  Note(other_term);
  Advance();
  EXPECT_EQ(answers_.size(), 1u);
  Note(second.questions[0]);
  Advance();
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(LeaseLeaderTest, WhoOnlyLookedHasNotedNothing) {
  Serve(4);
  Wait(seconds(1));
  const auto look = Advance();
  ASSERT_EQ(look.questions.size(), 2u);
  EXPECT_EQ(look.questions[0].request.renewed_size(), 0);
  KeepAlive(7);
  Advance();
  Note(look.questions[0]);
  Note(look.questions[1]);
  Advance();
  EXPECT_TRUE(answers_.empty());
}

TEST_F(LeaseLeaderTest, ANewLeaderLetsNothingExpireBeforeAQuorumHasTold) {
  Wait(seconds(30));
  LeaseBook other = book_;
  ASSERT_TRUE(other.Note(7, now_ - seconds(2)));
  leader_.Lead(raft::Term(5), kThree, now_);
  KeepAlive(8);
  auto effects = Advance();
  ASSERT_EQ(effects.questions.size(), 2u);
  EXPECT_TRUE(effects.questions[0].request.tell());
  EXPECT_TRUE(effects.expire.empty());
  Note(effects.questions[0], &other);
  EXPECT_FALSE(leader_.serves());
  effects = Advance();
  EXPECT_TRUE(effects.expire.empty()) << "it waits a little for the third";
  Wait(milliseconds(200));
  EXPECT_EQ(leader_.next_due(), now_);
  effects = Advance();
  EXPECT_TRUE(leader_.serves());
  EXPECT_EQ(effects.expire, (std::vector<int64_t>{8})) << "7 was renewed 2 s ago";
  Wait(seconds(8));
  EXPECT_EQ(Advance().expire, (std::vector<int64_t>{7}));
}

TEST_F(LeaseLeaderTest, WhoForgotIsNotCountedIfTheOthersAreAQuorumAndIsTold) {
  LeaseBook second = book_;
  second.Adopt({}, now_);
  LeaseBook third = second;
  Wait(seconds(4));
  book_.Load({{7, 10}, {8, 20}}, now_);  // This leader was started anew, and assumes now.
  leader_.Lead(raft::Term(5), kThree, now_);
  for (const auto& question : Advance().questions) {
    Note(question, question.to == kSecond ? &second : &third);
  }
  Advance();
  ASSERT_TRUE(leader_.serves());
  EXPECT_EQ(book_.Find(7)->Deadline(), now_ + seconds(6));

  third.Load({{7, 10}, {8, 20}}, now_);
  KeepAlive(7);
  for (const auto& question : Advance().questions) {
    Note(question, question.to == kSecond ? &second : &third);
  }
  const auto effects = Advance();
  ASSERT_EQ(effects.questions.size(), 1u) << "the third is told at once";
  EXPECT_EQ(effects.questions[0].to, kThird);
  EXPECT_EQ(effects.questions[0].request.whole().leases_size(), 2);
  EXPECT_EQ(effects.questions[0].request.session(), 77u);
}

TEST_F(LeaseLeaderTest, WhoForgotIsCountedIfThereIsNoOtherQuorum) {
  Wait(seconds(4));
  LeaseBook second;
  second.Load({{7, 10}, {8, 20}}, now_);
  book_.Adopt({}, now_);
  leader_.Lead(raft::Term(5), kThree, now_);
  for (const auto& question : Advance().questions) {
    if (question.to == kSecond) Note(question, &second);
  }
  Wait(milliseconds(200));
  Advance();
  ASSERT_TRUE(leader_.serves());
  EXPECT_EQ(book_.Find(7)->Deadline(), now_ - milliseconds(200) + seconds(10))
      << "it may have noted a renewal just before it ended";
}

TEST_F(LeaseLeaderTest, AnEndIsProposedOnceTriedAgainAndNeverTakenBack) {
  Serve(4);
  Wait(seconds(11));
  EXPECT_EQ(Advance().expire, (std::vector<int64_t>{7}));
  EXPECT_TRUE(Advance().expire.empty());
  KeepAlive(7);
  Advance();
  EXPECT_TRUE(answers_.empty()) << "it waits for what becomes of the lease";
  leader_.OnExpiryEnded(raft::Term(4), 7, now_);
  Wait(milliseconds(500));
  EXPECT_EQ(Advance().expire, (std::vector<int64_t>{7})) << "the first was lost";
  EXPECT_TRUE(answers_.empty());
  book_.Apply({7, false, 0}, now_);
  leader_.OnExpiryEnded(raft::Term(4), 7, now_);
  Advance();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].second.value(), 0);
}

TEST_F(LeaseLeaderTest, ManyAreEndedAFewAtATime) {
  for (int64_t lease = 100; lease < 110; ++lease) book_.Apply({lease, true, 1}, now_);
  Serve(4);
  Wait(seconds(2));
  std::vector<int64_t> first = Advance().expire;
  EXPECT_EQ(first.size(), 3u);
  EXPECT_TRUE(Advance().expire.empty());
  for (const int64_t lease : first) {
    book_.Apply({lease, false, 0}, now_);
    leader_.OnExpiryEnded(raft::Term(4), lease, now_);
  }
  EXPECT_EQ(Advance().expire.size(), 3u);
}

TEST_F(LeaseLeaderTest, AnUnknownLeaseIsLookedForAgainBeforeItIsDenied) {
  Serve(4);
  KeepAlive(99);
  const auto effects = Advance();
  ASSERT_EQ(effects.unknown.size(), 1u);
  EXPECT_TRUE(answers_.empty());
  KeepAlive(99, /*looked_again=*/true);
  Advance();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].second.value(), 0);
}

TEST_F(LeaseLeaderTest, WhatIsRevokedDuringTheRoundIsNotAcknowledged) {
  Serve(4);
  KeepAlive(7);
  const auto effects = Advance();
  book_.Apply({7, false, 0}, now_);
  Note(effects.questions[0]);
  Advance();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].second.value(), 0);
}

TEST_F(LeaseLeaderTest, WhatWaitsComesBackWhenItLeadsNoMore) {
  Serve(4);
  Wait(seconds(11));
  Advance();
  KeepAlive(7);  // doomed
  KeepAlive(8);  // in a round
  Advance();
  KeepAlive(8);  // waits
  EXPECT_EQ(leader_.StopLeading().size(), 3u);
  EXPECT_FALSE(leader_.leads());
  EXPECT_FALSE(book_.Find(7)->doomed);
  EXPECT_EQ(leader_.next_due(), base::kForever);
}

TEST_F(LeaseLeaderTest, WithoutAQuorumAKeepAliveEndsAtItsDeadline) {
  Serve(4);
  KeepAlive(8);
  Advance();
  Wait(seconds(5));
  EXPECT_LE(leader_.next_due(), now_);
  Advance();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].second.status(), ErrorStatus(WireError::kTimeout));
}

TEST_F(LeaseLeaderTest, AMemberAloneAsksNobody) {
  leader_.Lead(raft::Term(2), {kSelf}, now_);
  KeepAlive(7);
  EXPECT_TRUE(Advance().questions.empty());
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].second.value(), 10);
}

TEST_F(LeaseLeaderTest, AQuorumIsOneOfTheVotersBeforeAndAfterAChange) {
  const std::set<raft::NodeId> four = {kSelf, kSecond, kThird, raft::NodeId(4)};
  Serve(4);
  KeepAlive(7);
  const auto effects = Advance();
  leader_.Lead(raft::Term(4), four, now_);
  Note(effects.questions[0]);
  Advance();
  EXPECT_TRUE(answers_.empty()) << "two of four";
  Note(effects.questions[1]);
  Advance();
  EXPECT_EQ(answers_.size(), 1u);
}

}  // namespace
}  // namespace server
