// SPDX-License-Identifier: Apache-2.0
//
// A member that voted in a term, was restarted and is asked again in that term, on a real disk:
// the production driver, log writer, Raft log and promises (meta/ in RocksDB).

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "raft/node/driver.h"
#include "raft/wire/codec.h"
#include "store/promises.h"
#include "store/raft_log.h"
#include "store/rocks_meta.h"

namespace {

using raft::NodeId;
using raft::Term;

class Outbox final : public raft::Transport {
 public:
  void Send(NodeId to, std::string bytes) override {
    auto envelope = raft::DecodeEnvelope(bytes);
    ASSERT_TRUE(envelope.ok()) << envelope.status();
    sent.push_back(*std::move(envelope));
  }
  std::vector<raft::Envelope> sent;
};

class NothingApplied final : public raft::StateMachine {
 public:
  void Apply(std::span<const raft::ApplyItem>, std::vector<raft::ApplyResult>*) override {
    FAIL() << "nothing is committed in this test";
  }
  raft::LogPosition applied() const override { return {}; }
  raft::StateDigest digest() const override { return {}; }
  bool lost() const override { return false; }
  void DeclareLost(const absl::Status&) const override {}
  absl::StatusOr<raft::InstalledState> Install(uint64_t) override {
    return absl::UnimplementedError("no snapshot is sent in this test");
  }
};

// One life of the member's process on `directory`.
class Life {
 public:
  explicit Life(const std::string& directory) : inbox_(100, 1 << 20) {
    auto meta = store::OpenRocksMeta(directory + "/meta");
    CHECK(meta.ok()) << meta.status();
    promises_ = *store::Promises::Load(*std::move(meta));
    store::RaftLogContents contents;
    store::RaftLogOptions log_options;
    log_options.directory = directory + "/log";
    log_ = *store::RaftLog::Open(&files_, log_options, &contents);
    log_writer_ = std::make_unique<raft::LogWriter>(log_.get(), promises_.get(), &sender_, &inbox_);
    applier_ =
        std::make_unique<raft::Applier>(NodeId(1), &machine_, &publishes_, &answers_, &inbox_);
    raft::NodeOptions options;
    options.self = NodeId(1);
    options.voters = {NodeId(1), NodeId(2), NodeId(3)};
    raft::NodeStart start;
    start.hard_state = promises_->hard_state();
    start.boot_count = promises_->CountBoot();
    driver_ = std::make_unique<raft::Driver>(
        options, std::move(start),
        raft::Driver::Parts{&inbox_, &sender_, log_.get(), log_writer_.get(), applier_.get(),
                            &publishes_, &answers_, &reads_, &fetches_, nullptr},
        base::TimePoint(), nullptr);
  }

  // Asks for this member's vote; what it answers once its disk has answered, if it does.
  std::vector<raft::Envelope> Ask(uint64_t candidate, uint64_t term, bool sync) {
    raft::Envelope envelope{NodeId(candidate), NodeId(1), Term(term), raft::Session(1),
                            raft::RequestVote{false, Term(term), {}}};
    EXPECT_TRUE(inbox_.TryPush(&envelope));
    driver_->RunOnce(base::TimePoint());
    if (sync) log_writer_->RunOnce();
    return std::exchange(outbox_.sent, {});
  }

  const raft::HardState& promised() const { return promises_->hard_state(); }

 private:
  base::PosixFileSystem files_;
  std::unique_ptr<store::Promises> promises_;
  std::unique_ptr<store::RaftLog> log_;
  NothingApplied machine_;
  Outbox outbox_;
  raft::Sender sender_{&outbox_};
  raft::Inbox inbox_;
  raft::PublishTable publishes_;
  raft::AnswerQueue answers_;
  raft::AnswerQueue reads_;
  raft::AnswerQueue fetches_;
  std::unique_ptr<raft::LogWriter> log_writer_;
  std::unique_ptr<raft::Applier> applier_;
  std::unique_ptr<raft::Driver> driver_;
};

bool Granted(const std::vector<raft::Envelope>& answers) {
  EXPECT_EQ(answers.size(), 1u);
  return std::get<raft::RequestVoteReply>(answers.at(0).message).granted;
}

class VoteTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/vote.XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  std::string directory_;
};

TEST_F(VoteTest, AVoteIsForOneCandidateWhateverRestartsLieBetween) {
  EXPECT_TRUE(Granted(Life(directory_).Ask(2, 5, true)));
  for (int restart = 0; restart < 3; ++restart) {
    Life life(directory_);
    EXPECT_EQ(life.promised(), (raft::HardState{Term(5), NodeId(2)}));
    EXPECT_FALSE(Granted(life.Ask(3, 5, true)));
    EXPECT_TRUE(Granted(life.Ask(2, 5, true)));  // the same candidate may ask again
  }
  EXPECT_TRUE(Granted(Life(directory_).Ask(3, 6, true)));
  EXPECT_FALSE(Granted(Life(directory_).Ask(2, 6, true)));
}

TEST_F(VoteTest, NoAnswerLeavesBeforeTheDiskHasTheVote) {
  Life life(directory_);
  EXPECT_TRUE(life.Ask(2, 5, false).empty());
  EXPECT_EQ(life.promised(), raft::HardState{});
}

}  // namespace
