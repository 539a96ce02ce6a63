// SPDX-License-Identifier: Apache-2.0

#include "server/no_space_alarm.h"

#include <filesystem>

#include "gtest/gtest.h"
#include "tests/unit/server/lone_member.h"

namespace server {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kSelf = 22;

class NoSpaceAlarmTest : public testing::Test {
 protected:
  NoSpaceAlarmTest()
      : directory_(testing::TempDir() + "/no_space_alarm"),
        state_(replica_.machine()),
        quota_(&state_, 1'000) {
    Found({kSelf, 33});
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    alarm_ = std::make_unique<NoSpaceAlarm>(
        NoSpaceAlarmOptions{kSelf, std::chrono::seconds(5)},
        SpaceWatch({.directory = directory_, .min_free_bytes = 100 * kMiB, .reserve_bytes = kMiB},
                   [this] {
                     return DiskSpace{free_mebibytes_ * kMiB, 10'000 * kMiB};
                   }),
        &replica_, &state_, &quota_);
  }

  // What is there after a look at this disk, that many seconds later.
  bool RaisedWith(uint64_t free_mebibytes, int seconds = 0) {
    free_mebibytes_ = free_mebibytes;
    clock_.now += std::chrono::seconds(seconds);
    alarm_->Look(clock_.now);
    return state_.no_space();
  }
  void Found(std::vector<uint64_t> ids) {
    std::vector<Member> founders;
    for (const uint64_t id : ids) {
      founders.emplace_back();
      founders.back().id = id;
    }
    auto entry = std::make_shared<raft::Entry>();
    entry->index = raft::Index(1);
    entry->term = raft::Term(1);
    entry->kind = raft::EntryKind::kConfiguration;
    entry->command = BootstrapCommand(founders);
    const raft::ApplyItem item{entry, false};
    std::vector<raft::ApplyResult> results;
    replica_.machine()->Apply({&item, 1}, &results);
  }
  void Raise(uint64_t member) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_alarm()->set_action(etcdserverpb::AlarmRequest::ACTIVATE);
    request.mutable_alarm()->set_memberid(member);
    request.mutable_alarm()->set_alarm(etcdserverpb::NOSPACE);
    Publish(request);
  }
  void Put(const std::string& key, size_t bytes) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_put()->set_key(key);
    request.mutable_put()->set_value(std::string(bytes, 'v'));
    Publish(request);
  }
  void Empty() {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_delete_range()->set_key(std::string(1, '\0'));
    request.mutable_delete_range()->set_range_end(std::string(1, '\0'));
    Publish(request);
    request.mutable_compaction()->set_revision(state_.revision());
    Publish(request);
  }
  void Publish(const etcdserverpb::InternalRaftRequest& request) {
    replica_.Publish(request.SerializeAsString(), base::kForever,
                     [](const raft::PublishOutcome&) {});
  }

  const std::string directory_;
  uint64_t free_mebibytes_ = 5'000;
  LoneClock clock_;
  LoneReplica replica_;
  MachineState state_;
  Quota quota_;
  std::unique_ptr<NoSpaceAlarm> alarm_;
};

TEST_F(NoSpaceAlarmTest, RaisesWhileTheDiskIsLowAndHandsOverIfItLeads) {
  EXPECT_FALSE(RaisedWith(5'000));
  replica_.node.leader = raft::NodeId(33);
  EXPECT_TRUE(RaisedWith(50));
  EXPECT_EQ(replica_.hand_overs, 0);
  replica_.node.leader = replica_.node.self;
  EXPECT_TRUE(RaisedWith(50));
  EXPECT_EQ(replica_.hand_overs, 1);
  const auto raised_at = replica_.machine()->applied().index;
  EXPECT_TRUE(RaisedWith(40));
  EXPECT_EQ(replica_.hand_overs, 1);
  EXPECT_EQ(replica_.machine()->applied().index, raised_at) << "what is raised is not said again";
  EXPECT_TRUE(RaisedWith(40, 30));
  EXPECT_EQ(replica_.hand_overs, 2) << "nobody was there to take it, or it came back";
  EXPECT_FALSE(RaisedWith(5'000));
}

TEST_F(NoSpaceAlarmTest, LeadsOnWhereNobodyHasSpace) {
  Raise(33);
  EXPECT_TRUE(RaisedWith(50));
  EXPECT_TRUE(RaisedWith(50, 60));
  EXPECT_EQ(replica_.hand_overs, 0);
}

TEST_F(NoSpaceAlarmTest, LeavesAnAlarmThatOthersRaised) {
  Raise(33);
  EXPECT_TRUE(RaisedWith(5'000));
  // By hand, for this member.
  Raise(kSelf);
  EXPECT_TRUE(RaisedWith(5'000, 60));
}

TEST_F(NoSpaceAlarmTest, ClearsWhatTheQuotaRaisedTenSecondsAfterThereIsRoom) {
  Put("a", 800);
  ASSERT_FALSE(quota_.Admits(900));
  Raise(kSelf);
  EXPECT_TRUE(RaisedWith(5'000, 60)) << "the quota is still nearly used";
  Empty();
  EXPECT_TRUE(RaisedWith(5'000)) << "whoever made room may want to see it";
  EXPECT_TRUE(RaisedWith(5'000, 9));
  EXPECT_FALSE(RaisedWith(5'000, 1));
}

TEST_F(NoSpaceAlarmTest, ADiskWithRoomDoesNotClearWhatTheQuotaStillNeeds) {
  Put("a", 800);
  ASSERT_FALSE(quota_.Admits(900));
  EXPECT_TRUE(RaisedWith(50));
  EXPECT_TRUE(RaisedWith(5'000, 60));
  Empty();
  EXPECT_TRUE(RaisedWith(5'000));
  EXPECT_FALSE(RaisedWith(5'000, 10));
}

}  // namespace
}  // namespace server
