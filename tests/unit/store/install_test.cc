// SPDX-License-Identifier: Apache-2.0
//
// A state that is lost serves nothing and applies nothing, until another takes its place; the
// digest is the same on every road to the same entry.

#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

class InstallTest : public testing::Test {
 protected:
  InstallTest() {
    driver_->set_on_damage([this](const absl::Status& status) { damage_.push_back(status); });
  }
  absl::Status ReadStatus(const std::string& key, const std::string& range_end = "") {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(range_end);
    etcdserverpb::RangeResponse response;
    return driver_->Range(request, 4, &response);
  }

  MachineDriver driver_;
  std::vector<absl::Status> damage_;
};

TEST_F(InstallTest, AReadThatMeetsDamageLosesTheState) {
  ASSERT_TRUE(driver_.Put("a", "1").ok());
  ASSERT_TRUE(driver_.Put("b", "1").ok());
  driver_->Flush();
  driver_.disk()->DamageKey(Family::kDatum, "b");
  EXPECT_TRUE(ReadStatus("a").ok());
  EXPECT_FALSE(driver_->lost());
  EXPECT_EQ(ReadStatus("a", "z").code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(driver_->lost());
  ASSERT_EQ(damage_.size(), 1u);
  EXPECT_EQ(damage_[0].code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadStatus("a").code(), absl::StatusCode::kUnavailable) << "nothing of it is served";
  const raft::LogPosition applied = driver_->applied();
  EXPECT_EQ(driver_.Put("c", "1").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(driver_->applied(), applied);
  EXPECT_FALSE(driver_->CompactStep(10).value());
  EXPECT_FALSE(driver_->FlushIfDue(base::TimePoint{} + std::chrono::hours(1)));
}

TEST_F(InstallTest, AnApplyThatMeetsDamageLosesTheBatch) {
  ASSERT_TRUE(driver_.Put("a", "1").ok());
  driver_.disk()->DamageKey(Family::kDeleted, "b");
  driver_.Delete("a");
  driver_.disk()->DamageKey(Family::kDeleted, "a");
  const raft::LogPosition applied = driver_->applied();
  EXPECT_EQ(driver_.Put("a", "2").code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(driver_->lost());
  EXPECT_EQ(driver_->applied(), applied);
  EXPECT_EQ(damage_.size(), 1u);
}

TEST_F(InstallTest, AWriteThatMeetsDamageLosesTheState) {
  ASSERT_TRUE(driver_.Put("a", "1").ok());
  driver_.disk()->DamageWrites();
  EXPECT_EQ(driver_.Put("a", "2").code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(driver_->lost());
  EXPECT_EQ(driver_->applied().index, raft::Index(1));
}

TEST_F(InstallTest, AnInstallTakesThePlace) {
  MachineDriver other;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(other.Put("k" + std::to_string(i), "v").ok());
  datum::membership::MembershipChange bootstrap;
  bootstrap.mutable_bootstrap()->add_members()->set_id(5);
  ASSERT_TRUE(other.Change(bootstrap, raft::Configuration({raft::NodeId(5)})).status.ok());
  ASSERT_TRUE(driver_.Put("mine", "1").ok());
  driver_->DeclareLost(absl::DataLossError("told so"));
  driver_->set_take_staged([&](uint64_t staged) -> absl::StatusOr<std::unique_ptr<Engine>> {
    if (staged != 3) return absl::NotFoundError("not staged");
    return other.CopyOfState();
  });
  EXPECT_EQ(driver_->Install(2).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(driver_->lost());
  const auto installed = driver_->Install(3);
  ASSERT_TRUE(installed.ok()) << installed.status();
  EXPECT_EQ(installed->position, other->applied());
  EXPECT_EQ(installed->configuration, raft::Configuration({raft::NodeId(5)}));
  EXPECT_EQ(installed->configuration_index, raft::Index(51));
  EXPECT_FALSE(driver_->lost());
  EXPECT_EQ(driver_->state_hash(), other->state_hash());
  EXPECT_EQ(driver_.Get("mine").count(), 0);
  EXPECT_EQ(driver_.Get("k7").kvs(0).value(), "v");
  ASSERT_TRUE(driver_.Put("k7", "w").ok());
  ASSERT_TRUE(other.Put("k7", "w").ok());
  EXPECT_EQ(driver_->state_hash(), other->state_hash());
  EXPECT_EQ(driver_->persisted_applied()->index, raft::Index(51));
}

TEST_F(InstallTest, AnOlderStateDoesNotReplaceASoundOne) {
  MachineDriver other;
  ASSERT_TRUE(other.Put("a", "1").ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(driver_.Put("a", "2").ok());
  EXPECT_EQ(driver_->Install(other.CopyOfState()).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(driver_.Get("a").kvs(0).value(), "2");
  driver_->DeclareLost(absl::DataLossError("told so"));
  EXPECT_TRUE(driver_->Install(other.CopyOfState()).ok());
  EXPECT_EQ(driver_->applied().index, raft::Index(1));
}

TEST_F(InstallTest, AStagedStateIsKeptOnceItIsFoundGoodAndNotBefore) {
  MachineDriver other;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(other.Put("a", "1").ok());
  std::vector<raft::Index> kept_over;
  driver_->set_take_staged([&](uint64_t) { return other.CopyOfState(); });
  driver_->set_keep_staged([&](raft::LogPosition staged) {
    kept_over.push_back(driver_->applied().index);
    EXPECT_GE(staged.index, driver_->applied().index);
  });
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(driver_.Put("b", "1").ok());
  EXPECT_EQ(driver_->Install(1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(kept_over.empty()) << "meta/ would name a state that is not in use";
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(other.Put("a", "1").ok());
  ASSERT_TRUE(driver_->Install(2).ok());
  // While nobody can see the new one yet: what is told of it is durable.
  EXPECT_EQ(kept_over, std::vector<raft::Index>{raft::Index(4)});
}

TEST_F(InstallTest, AMachineWithoutAStateWaitsForOne) {
  const auto machine = KvMachine::OpenLost(KvMachineOptions());
  EXPECT_TRUE(machine->lost());
  EXPECT_EQ(machine->applied(), raft::LogPosition{});
  ASSERT_TRUE(driver_.Put("a", "1").ok());
  ASSERT_TRUE(machine->Install(driver_.CopyOfState()).ok());
  EXPECT_FALSE(machine->lost());
  EXPECT_EQ(machine->state_hash(), driver_->state_hash());
}

TEST_F(InstallTest, ADamagedCheckpointIsRefused) {
  ASSERT_TRUE(driver_.Put("a", "1").ok());
  driver_->Flush();
  std::string bytes = driver_.disk()->Export();
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_EQ(MemoryDisk::Import(damaged).status().code(), absl::StatusCode::kDataLoss) << at;
    EXPECT_FALSE(MemoryDisk::Import(bytes.substr(0, at)).ok()) << at;
  }
}

// The commands of a short life: puts, deletes, Txns, leases, compactions, refusals.
std::vector<std::string> Commands(uint64_t seed, int count) {
  base::Random random(seed);
  std::vector<std::string> commands;
  for (int i = 1; i <= count; ++i) {
    etcdserverpb::InternalRaftRequest request;
    const std::string key = "k" + std::to_string(random.Below(20));
    switch (random.Below(8)) {
      case 0:
        request.mutable_delete_range()->set_key(key);
        break;
      case 1:
        request.mutable_compaction()->set_revision(static_cast<int64_t>(random.Below(i)));
        break;
      case 2:
        request.mutable_lease_grant()->set_id(static_cast<int64_t>(random.Below(50)));
        request.mutable_lease_grant()->set_ttl(60);
        break;
      case 3:
        request.mutable_txn()->add_success()->mutable_request_put()->set_key(key);
        break;
      default:
        request.mutable_put()->set_key(key);
        request.mutable_put()->set_value(std::to_string(i));
        request.mutable_put()->set_lease(random.Chance(0.2) ? 7 : 0);
    }
    commands.push_back(request.SerializeAsString());
  }
  return commands;
}

// In batches of any size, with crashes, compactions at any pace and a move by snapshot.
raft::StateDigest DigestOfALife(const std::vector<std::string>& commands, uint64_t seed,
                                uint64_t* hash) {
  base::Random random(seed);
  auto driver = std::make_unique<MachineDriver>();
  while (driver->operator->()->applied().index.value() < commands.size()) {
    KvMachine* machine = driver->operator->();
    const size_t from = machine->applied().index.value();
    std::vector<raft::ApplyItem> items;
    const size_t until = std::min(commands.size(), from + random.Between(1, 90));
    for (size_t i = from; i < until; ++i) {
      raft::ApplyItem item = driver->Item(commands[i]);
      auto entry = std::make_shared<raft::Entry>(*item.entry);
      entry->index = raft::Index(i + 1);
      items.push_back({entry, random.Chance(0.5)});
    }
    std::vector<raft::ApplyResult> results;
    machine->Apply(items, &results);
    if (random.Chance(0.3)) machine->Flush();
    if (random.Chance(0.3)) {
      EXPECT_TRUE(machine->CompactStep(random.Between(1, 50)).ok());
    }
    if (random.Chance(0.03)) driver->Crash();
    if (random.Chance(0.05)) {
      EXPECT_TRUE(driver->MoveToCopy().ok());
    }
  }
  *hash = driver->operator->()->state_hash();
  return driver->operator->()->digest();
}

TEST(DigestTest, IsTheSameOnEveryRoad) {
  const std::vector<std::string> commands = Commands(1, 2500);
  uint64_t hash = 0;
  const raft::StateDigest digest = DigestOfALife(commands, 1, &hash);
  EXPECT_EQ(digest.index, raft::Index(2048));
  EXPECT_NE(digest.hash, 0u);
  for (uint64_t seed = 2; seed <= 12; ++seed) {
    uint64_t other = 0;
    EXPECT_EQ(DigestOfALife(commands, seed, &other), digest) << seed;
    EXPECT_EQ(other, hash) << seed;
  }
}

TEST(DigestTest, TellsOneWrongByte) {
  std::vector<std::string> commands = Commands(1, 1100);
  uint64_t hash = 0;
  const raft::StateDigest digest = DigestOfALife(commands, 1, &hash);
  etcdserverpb::InternalRaftRequest put;
  put.mutable_put()->set_key("k1");
  put.mutable_put()->set_value("a");
  commands[500] = put.SerializeAsString();
  uint64_t one = 0;
  const raft::StateDigest with_a = DigestOfALife(commands, 1, &one);
  EXPECT_NE(with_a, digest);
  put.mutable_put()->set_value("b");
  commands[500] = put.SerializeAsString();
  EXPECT_NE(DigestOfALife(commands, 1, &one), with_a);
}

}  // namespace
}  // namespace store
