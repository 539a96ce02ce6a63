// SPDX-License-Identifier: Apache-2.0
//
// What a member promised, in memory and in the RocksDB that users run.

#include "store/promises.h"

#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "store/rocks_meta.h"

namespace store {
namespace {

// Lets a meta store outlive the Promises over it.
class Borrowed final : public MetaStore {
 public:
  explicit Borrowed(MetaStore* meta) : meta_(meta) {}
  absl::StatusOr<std::optional<std::string>> Get(const std::string& name) override {
    return meta_->Get(name);
  }
  void PutDurably(const std::string& name, const std::string& value) override {
    meta_->PutDurably(name, value);
  }

 private:
  MetaStore* const meta_;
};

std::unique_ptr<Promises> LoadFrom(MetaStore* meta) {
  auto promises = Promises::Load(std::make_unique<Borrowed>(meta));
  EXPECT_TRUE(promises.ok()) << promises.status();
  return *std::move(promises);
}

raft::HardState StateOf(uint64_t term, std::optional<raft::NodeId> vote) {
  return {raft::Term(term), vote};
}

TEST(Promises, ANewMemberHasPromisedNothing) {
  MemoryMetaStore meta;
  const auto promises = LoadFrom(&meta);
  EXPECT_EQ(promises->hard_state(), raft::HardState{});
  EXPECT_FALSE(promises->identity().has_value());
  EXPECT_EQ(promises->state_number(), 1u);
}

TEST(Promises, TermAndVoteAreThereInTheNextLife) {
  MemoryMetaStore meta;
  LoadFrom(&meta)->SaveHardState(StateOf(7, raft::NodeId(3)));
  EXPECT_EQ(LoadFrom(&meta)->hard_state(), StateOf(7, raft::NodeId(3)));
  // A new term forgets the vote.
  LoadFrom(&meta)->SaveHardState(StateOf(8, std::nullopt));
  EXPECT_EQ(LoadFrom(&meta)->hard_state(), StateOf(8, std::nullopt));
}

TEST(Promises, DoubtLastsUntilItIsCleared) {
  MemoryMetaStore meta;
  raft::HardState doubtful = StateOf(7, raft::NodeId(3));
  doubtful.doubtful = true;
  LoadFrom(&meta)->SaveHardState(doubtful);
  EXPECT_TRUE(LoadFrom(&meta)->hard_state().doubtful);
  LoadFrom(&meta)->SaveHardState(StateOf(7, raft::NodeId(3)));
  EXPECT_FALSE(LoadFrom(&meta)->hard_state().doubtful);
}

TEST(Promises, EachLifeHasItsNumber) {
  MemoryMetaStore meta;
  for (uint64_t life = 1; life <= 3; ++life) EXPECT_EQ(LoadFrom(&meta)->CountBoot(), life);
}

TEST(Promises, AnOlderCopyBeginsBehindTheLivesThatItForgot) {
  MemoryMetaStore meta;
  raft::HardState hard_state{raft::Term(3), std::nullopt};
  {
    const auto promises = LoadFrom(&meta);
    promises->CountBoot();
    hard_state.forgotten = raft::Session(7);
    promises->SaveHardState(hard_state);
  }
  EXPECT_EQ(LoadFrom(&meta)->hard_state(), hard_state);
  EXPECT_EQ(LoadFrom(&meta)->CountBoot(), 8u);
  EXPECT_EQ(LoadFrom(&meta)->CountBoot(), 9u);
}

TEST(Promises, IdentityAndStateStay) {
  MemoryMetaStore meta;
  datum::disk::Identity identity;
  identity.set_cluster_id(1);
  identity.set_member_id(2);
  identity.set_data_dir_uuid("sixteen bytes ..");
  {
    const auto promises = LoadFrom(&meta);
    promises->SaveIdentity(identity);
    promises->SaveTakenState(5, {raft::Term(2), raft::Index(7)});
    EXPECT_EQ(promises->state_number(), 5u);
  }
  const auto promises = LoadFrom(&meta);
  ASSERT_TRUE(promises->identity().has_value());
  EXPECT_EQ(promises->identity()->SerializeAsString(), identity.SerializeAsString());
  EXPECT_EQ(promises->state_number(), 5u);
}

TEST(Promises, KnowsWhetherTheLogIsSettledForTheStateThatWasTaken) {
  MemoryMetaStore meta;
  const raft::LogPosition first{raft::Term(2), raft::Index(7)};
  const raft::LogPosition second{raft::Term(2), raft::Index(9)};
  EXPECT_FALSE(LoadFrom(&meta)->LogUnsettledAt({}));
  LoadFrom(&meta)->SaveTakenState(2, first);
  EXPECT_TRUE(LoadFrom(&meta)->LogUnsettledAt(first));
  EXPECT_FALSE(LoadFrom(&meta)->LogUnsettledAt(second));
  // What comes late, of a state that another has replaced, settles nothing.
  LoadFrom(&meta)->SaveTakenState(3, second);
  LoadFrom(&meta)->LogSettled(first);
  EXPECT_TRUE(LoadFrom(&meta)->LogUnsettledAt(second));
  LoadFrom(&meta)->LogSettled(second);
  EXPECT_FALSE(LoadFrom(&meta)->LogUnsettledAt(second));
  EXPECT_EQ(LoadFrom(&meta)->state_number(), 3u);
}

TEST(Promises, ARecordThatCannotBeUnderstoodIsNamed) {
  for (const char* name : {"hard_state", "identity", "boot_count", "current_state"}) {
    auto meta = std::make_unique<MemoryMetaStore>();
    meta->PutDurably(name, "\xff\xff\xff");
    const absl::Status status = Promises::Load(std::move(meta)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find(name), std::string::npos) << status;
  }
}

TEST(PromisesDeathTest, NoPromiseIsTakenBack) {
  MemoryMetaStore meta;
  const auto promises = LoadFrom(&meta);
  promises->SaveHardState(StateOf(7, raft::NodeId(3)));
  EXPECT_DEATH(promises->SaveHardState(StateOf(6, std::nullopt)), "a term would go back");
  EXPECT_DEATH(promises->SaveHardState(StateOf(7, raft::NodeId(4))), "a vote would be taken back");
  EXPECT_DEATH(promises->SaveHardState(StateOf(7, std::nullopt)), "a vote would be taken back");
}

class RocksMetaTest : public testing::Test {
 protected:
  RocksMetaTest() { std::filesystem::remove_all(directory_); }
  ~RocksMetaTest() override { std::filesystem::remove_all(directory_); }

  const std::string directory_ = testing::TempDir() + "rocks_meta_test";
};

TEST_F(RocksMetaTest, KeepsItsRecords) {
  {
    auto meta = OpenRocksMeta(directory_);
    ASSERT_TRUE(meta.ok()) << meta.status();
    EXPECT_EQ((*meta)->Get("a").value(), std::nullopt);
    (*meta)->PutDurably("a", std::string("\0\xff", 2));
    (*meta)->PutDurably("b", "");
    (*meta)->PutDurably("a", "again");
  }
  auto meta = OpenRocksMeta(directory_);
  ASSERT_TRUE(meta.ok()) << meta.status();
  EXPECT_EQ((*meta)->Get("a").value(), "again");
  EXPECT_EQ((*meta)->Get("b").value(), "");
  EXPECT_EQ((*meta)->Get("c").value(), std::nullopt);
}

// A copy of the directory as a power cut would leave it: nothing was closed or flushed.
TEST_F(RocksMetaTest, WhatWasPutIsThereWithoutAClose) {
  const std::string copy = directory_ + ".copy";
  std::filesystem::remove_all(copy);
  auto meta = OpenRocksMeta(directory_);
  ASSERT_TRUE(meta.ok()) << meta.status();
  auto promises = Promises::Load(*std::move(meta));
  ASSERT_TRUE(promises.ok());
  (*promises)->SaveHardState(StateOf(7, raft::NodeId(3)));
  std::filesystem::copy(directory_, copy, std::filesystem::copy_options::recursive);
  auto after = Promises::Load(OpenRocksMeta(copy).value());
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)->hard_state(), StateOf(7, raft::NodeId(3)));
  after->reset();
  std::filesystem::remove_all(copy);
}

TEST_F(RocksMetaTest, ADirectoryThatCannotBeOpenedIsNamed) {
  auto meta = OpenRocksMeta(directory_);
  ASSERT_TRUE(meta.ok());
  const absl::Status second = OpenRocksMeta(directory_).status();  // RocksDB's own lock
  EXPECT_FALSE(second.ok());
  EXPECT_NE(second.message().find(directory_), std::string::npos) << second;
}

}  // namespace
}  // namespace store
