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
    return Storage::Open(config_, [this](const std::string& uuid) -> absl::StatusOr<Introduced> {
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

  Config config_;
  bool joins_ = false;
  raft::HardState hard_state_;
  int introductions_ = 0;
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
  EXPECT_NE(WhyNot().find(" is that of member 8e9e05c52164694d (default) of cluster "
                          "cdf818194e3a8c32, but the flags say "),
            std::string::npos)
      << WhyNot();
}

TEST_F(StorageTest, ADirectoryThatLostItsPromisesIsRefused) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove_all(config_.data_dir + "/meta");
  EXPECT_NE(WhyNot().find("meta/ was lost"), std::string::npos) << WhyNot();
}

TEST_F(StorageTest, AStateWithoutItsLogIsRefused) {
  {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    auto entry = std::make_shared<raft::Entry>();
    entry->term = raft::Term(1);
    entry->index = raft::Index(1);
    entry->kind = raft::EntryKind::kLeaderStart;
    const raft::ApplyItem items[] = {{entry, false}};
    std::vector<raft::ApplyResult> results;
    (*storage)->machine->Apply(items, &results);
    (*storage)->machine->Flush();
  }
  EXPECT_NE(WhyNot().find("is empty, but the state stands at 1: the log was lost"),
            std::string::npos)
      << WhyNot();
}

TEST_F(StorageTest, ALostLogIsNotANewOne) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::remove_all(config_.data_dir + "/log");
  for (int start = 0; start < 2; ++start) {
    EXPECT_NE(WhyNot().find("the log that was here is gone"), std::string::npos) << WhyNot();
  }
}

TEST_F(StorageTest, ALogThatWasCutGoesOnBehindTheState) {
  {
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
  // The header and the first of three batches stay, a sector each.
  const std::string segment = config_.data_dir + "/log/0000000000000001.log";
  std::filesystem::resize_file(segment, 1024);
  for (int start = 0; start < 2; ++start) {
    auto storage = Open();
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_EQ((*storage)->start.log_base, (raft::LogPosition{raft::Term(1), raft::Index(3)}));
    EXPECT_EQ((*storage)->start.last_index, raft::Index(3));
    EXPECT_TRUE((*storage)->start.tail.empty());
  }
}

TEST_F(StorageTest, JoiningIsRefusedWhileItIsNotServed) {
  config_.initial_cluster_state = "existing";
  EXPECT_NE(WhyNot().find("--initial-cluster-state"), std::string::npos) << WhyNot();
  config_.initial_cluster_state = "new";
  ASSERT_TRUE(Open().ok());
  config_.initial_cluster_state = "existing";
  EXPECT_TRUE(Open().ok());
}

}  // namespace
}  // namespace server
