// SPDX-License-Identifier: Apache-2.0

#include "server/storage.h"

#include <cstdlib>
#include <filesystem>

#include "gtest/gtest.h"

namespace server {
namespace {

class StorageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/storage.XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    config_.data_dir = path + "/d";
  }

  absl::StatusOr<std::unique_ptr<Storage>> Open() {
    return Storage::Open(
        config_,
        [this](const datum::disk::Identity& directory,
               const std::function<void()>& heard_living) -> absl::StatusOr<Introduced> {
          const std::string& uuid = directory.data_dir_uuid();
          knew_living_ = directory.heard_living_cluster();
          if (hears_living_) {
            heard_living();
            return absl::CancelledError("ended while waiting");
          }
          const auto cluster = ComputeInitialCluster(config_);
          if (!cluster.ok()) return cluster.status();
          ++introductions_;
          Introduced introduced;
          introduced.cluster_id = cluster->cluster_id;
          introduced.member_id = cluster->self;
          introduced.hard_state = hard_state_;
          for (const InitialMember& initial : cluster->members) {
            if (joins_) break;
            Member member;
            member.id = initial.id;
            member.name = initial.name;
            member.peer_urls = initial.peer_urls;
            member.data_dir_uuid = initial.id == cluster->self ? uuid : "";
            introduced.founders.push_back(member);
          }
          return introduced;
        });
  }

  std::string WhyNot() { return std::string(Open().status().message()); }

  // A member of three that has three entries in its log and its state.
  void FillThree() {
    config_.initial_cluster =
        "default=http://localhost:2380,b=http://localhost:2381,c=http://localhost:2382";
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    (*storage)->promises->SaveHardState({.current_term = raft::Term(1), .voted_for = {}});
    for (uint64_t index = 1; index <= 3; ++index) {
      auto entry = std::make_shared<raft::Entry>();
      entry->term = raft::Term(1);
      entry->index = raft::Index(index);
      entry->kind = raft::EntryKind::kLeaderStart;
      const raft::EntryRef entries[] = {entry};
      (*storage)->log->Append(entries);
      (*storage)->log->Sync();
      const raft::ApplyItem items[] = {{entry, false}};
      std::vector<raft::ApplyResult> results;
      (*storage)->machine->Apply(items, &results);
    }
    (*storage)->machine->Flush();
  }

  Config config_;
  bool joins_ = false;
  raft::HardState hard_state_;
  int introductions_ = 0;
  bool hears_living_ = false;
  bool knew_living_ = false;
};

TEST_F(StorageTest, ANewMemberBeginsEmptyAndIsItselfTheNextTime) {
  std::string uuid;
  {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_EQ((*storage)->start.boot_count, 1u);
    EXPECT_EQ((*storage)->start.last_index, raft::Index(0));
    EXPECT_EQ((*storage)->found,
              "term 0, vote none, last index 0, applied index 0, revision 1, start 1");
    uuid = (*storage)->promises->identity()->data_dir_uuid();
    EXPECT_EQ(uuid.size(), 16u);
    (*storage)->promises->SaveHardState(
        {.current_term = raft::Term(7), .voted_for = raft::NodeId(0xabc)});
  }
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->promises->identity()->data_dir_uuid(), uuid);
  EXPECT_EQ((*storage)->start.hard_state.current_term, raft::Term(7));
  EXPECT_EQ((*storage)->found,
            "term 7, vote abc, last index 0, applied index 0, revision 1, start 2");
}

TEST_F(StorageTest, AnEntryOfTheLogIsThereAgainToBeApplied) {
  {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    auto entry = std::make_shared<raft::Entry>();
    entry->term = raft::Term(1);
    entry->index = raft::Index(1);
    const raft::EntryRef entries[] = {entry};
    (*storage)->log->Append(entries);
    (*storage)->log->Sync();
  }
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->start.last_index, raft::Index(1));
  ASSERT_EQ((*storage)->start.tail.size(), 1u);
}

TEST_F(StorageTest, AnothersDirectoryIsRefused) {
  ASSERT_TRUE(Open().ok());
  config_.initial_cluster_token = "another";
  EXPECT_NE(
      WhyNot().find(" is that of member 8e9e05c52164694d (default) of cluster "
                    "cdf818194e3a8c32 with the token 'etcd-cluster', but the flags say default and "
                    "'another'"),
      std::string::npos)
      << WhyNot();
}

TEST_F(StorageTest, ADirectoryThatLostItsPromisesIsRefused) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove_all(config_.data_dir + "/meta");
  EXPECT_NE(WhyNot().find("meta/ was lost"), std::string::npos) << WhyNot();
}

TEST_F(StorageTest, AStateWithoutItsLogGoesOnInDoubt) {
  FillThree();
  std::filesystem::remove_all(config_.data_dir + "/log");
  for (int start = 0; start < 2; ++start) {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_TRUE((*storage)->start.hard_state.doubtful);
    EXPECT_EQ((*storage)->start.log_base, (raft::LogPosition{raft::Term(1), raft::Index(3)}));
    EXPECT_FALSE((*storage)->start.state_lost);
  }
}

TEST_F(StorageTest, ALostStateIsBuiltFromAWholeLog) {
  FillThree();
  std::filesystem::remove_all(config_.data_dir + "/state-1");
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_FALSE((*storage)->start.state_lost);
  EXPECT_FALSE((*storage)->start.hard_state.doubtful);
  EXPECT_EQ((*storage)->start.applied.index, raft::Index(0));
  EXPECT_EQ((*storage)->start.tail.size(), 3u);
}

TEST_F(StorageTest, ALostStateBehindALogThatWasCutIsFetched) {
  FillThree();
  {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    (*storage)->log->Restart({raft::Term(1), raft::Index(3)});
    datum::disk::NewestConfiguration copy;
    copy.set_index(2);
    copy.add_voters(5);
    copy.add_voters(6);
    (*storage)->promises->SaveConfiguration(copy);
  }
  std::filesystem::remove_all(config_.data_dir + "/state-1");
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_TRUE((*storage)->start.state_lost);
  EXPECT_TRUE((*storage)->machine->lost());
  EXPECT_EQ((*storage)->start.last_index, raft::Index(3));
  ASSERT_EQ((*storage)->start.configurations.size(), 1u);
  EXPECT_EQ((*storage)->start.configurations[0].first, raft::Index(2));
  EXPECT_EQ((*storage)->start.configurations[0].second.voters().size(), 2u);
}

TEST_F(StorageTest, AStateThatCameIsTheOneInUseFromThenOn) {
  FillThree();
  {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    const std::string staged = config_.data_dir + "/staged";
    ASSERT_TRUE((*storage)->machine->Checkpoint(staged).ok());
    const auto taken = (*storage)->TakeStaged(staged);
    ASSERT_TRUE(taken.ok()) << taken.status();
    // Not before it was found good.
    EXPECT_EQ((*storage)->promises->state_number(), 1u);
    (*storage)->KeepTaken({raft::Term(1), raft::Index(3)});
  }
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->start.applied.index, raft::Index(3));
  EXPECT_TRUE(std::filesystem::exists(config_.data_dir + "/state-2"));
  EXPECT_FALSE(std::filesystem::exists(config_.data_dir + "/state-1"));
}

// Ended between the taking of a state and the log's new beginning, and, the other time, behind
// both.
TEST_F(StorageTest, ALogThatDoesNotReachATakenStateIsALossOnlyOnceItWasSettled) {
  const raft::LogPosition position{raft::Term(1), raft::Index(3)};
  FillThree();
  for (const bool settled : {false, true}) {
    {
      auto storage = Open();
      ASSERT_TRUE(storage.ok()) << storage.status();
      (*storage)->promises->SaveTakenState((*storage)->promises->state_number(), position);
      if (settled) (*storage)->promises->LogSettled(position);
      (*storage)->log->Restart({raft::Term(1), raft::Index(1)});
    }
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_EQ((*storage)->start.hard_state.doubtful, settled);
    EXPECT_EQ((*storage)->start.log_base, position);
    EXPECT_EQ((*storage)->start.last_index, position.index);
    EXPECT_FALSE((*storage)->promises->LogUnsettledAt(position));
  }
}

TEST_F(StorageTest, TheOnlyVoterDoesNotGoOnWithLess) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove_all(config_.data_dir + "/log");
  for (int start = 0; start < 2; ++start) {
    EXPECT_NE(WhyNot().find("nobody has a copy"), std::string::npos) << WhyNot();
  }
}

TEST_F(StorageTest, ALogThatWasCutGoesOnBehindTheStateInDoubt) {
  FillThree();
  // The header and the first of three batches stay, a sector each.
  const std::string segment = config_.data_dir + "/log/0000000000000001.log";
  std::filesystem::resize_file(segment, 1024);
  for (int start = 0; start < 2; ++start) {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_TRUE((*storage)->start.hard_state.doubtful);
    EXPECT_EQ((*storage)->start.log_base, (raft::LogPosition{raft::Term(1), raft::Index(3)}));
    EXPECT_EQ((*storage)->start.last_index, raft::Index(3));
    EXPECT_TRUE((*storage)->start.tail.empty());
  }
}

TEST_F(StorageTest, WhoJoinsHasVotedForTheLeaderThatTookItIn) {
  joins_ = true;
  hard_state_ = {.current_term = raft::Term(4), .voted_for = raft::NodeId(9)};
  auto storage = Open();
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->start.hard_state, hard_state_);
  EXPECT_TRUE((*storage)->founders.empty());
  EXPECT_EQ(introductions_, 1);
}

TEST_F(StorageTest, ADirectoryIsIntroducedUntilItIsKnown) {
  config_.initial_cluster = "not a cluster";
  EXPECT_FALSE(Open().ok());
  config_.initial_cluster = "";
  std::string uuid;
  for (int start = 0; start < 2; ++start) {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    ASSERT_EQ((*storage)->founders.size(), 1u);
    uuid = (*storage)->founders[0].data_dir_uuid;
    EXPECT_EQ(uuid, (*storage)->identity().data_dir_uuid());
  }
  EXPECT_EQ(introductions_, 1);
}

// As in etcd: after `member update` the flags of the first start are no more than history.
TEST_F(StorageTest, ADirectoryThatKnowsItselfIgnoresTheInitialCluster) {
  FillThree();
  config_.initial_advertise_peer_urls = {"http://localhost:7777"};
  ASSERT_TRUE(config_.Validate().ok()) << config_.Validate();
  EXPECT_TRUE(Open().ok()) << WhyNot();
  EXPECT_EQ(introductions_, 1);
  config_.data_dir += "-new";
  EXPECT_NE(WhyNot().find("--initial-cluster: it has default="), std::string::npos) << WhyNot();
}

TEST_F(StorageTest, ThatAClusterLivesIsKnownToTheNextStart) {
  hears_living_ = true;
  EXPECT_FALSE(Open().ok());
  EXPECT_FALSE(knew_living_);
  hears_living_ = false;
  joins_ = true;
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(knew_living_);
}

TEST_F(StorageTest, WhoWasHereBeforeBeginsWithSessionsOfItsOwn) {
  joins_ = true;
  hard_state_ = {.current_term = raft::Term(4), .voted_for = raft::NodeId(9), .doubtful = true};
  EXPECT_EQ(Open().value()->start.boot_count, 1024u);
  EXPECT_EQ(Open().value()->start.boot_count, 1025u);
}

TEST_F(StorageTest, DamagedPromisesAreRefusedWithAdvice) {
  ASSERT_TRUE(Open().ok());
  for (const auto& file : std::filesystem::directory_iterator(config_.data_dir + "/meta")) {
    if (file.path().filename().string().rfind("MANIFEST", 0) != 0) continue;
    std::filesystem::resize_file(file.path(), 20);
  }
  EXPECT_NE(WhyNot().find("empty the directory, and they take the member in anew"),
            std::string::npos)
      << WhyNot();
}

}  // namespace
}  // namespace server
