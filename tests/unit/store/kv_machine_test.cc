// SPDX-License-Identifier: Apache-2.0
//
// What one command does and answers (reference: etcd-api 1.2, 1.4, 1.6, 1.11).

#include "store/kv_machine.h"

#include <string>

#include "gtest/gtest.h"
#include "store/errors.h"
#include "store/lease.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::InternalRaftRequest;

const std::string kZero(1, '\0');

absl::Status Grant(MachineDriver* driver, int64_t id, int64_t ttl = 60) {
  InternalRaftRequest request;
  request.mutable_lease_grant()->set_id(id);
  request.mutable_lease_grant()->set_ttl(ttl);
  return driver->Apply(request).status;
}

etcdserverpb::AlarmResponse AlarmDo(MachineDriver* driver,
                                    etcdserverpb::AlarmRequest::AlarmAction action,
                                    etcdserverpb::AlarmType type) {
  InternalRaftRequest request;
  request.mutable_alarm()->set_action(action);
  request.mutable_alarm()->set_memberid(22);
  request.mutable_alarm()->set_alarm(type);
  return driver->Answer<etcdserverpb::AlarmResponse>(request);
}

TEST(KvMachineTest, RevisionsBeginAtOneAndCountWrites) {
  MachineDriver driver;
  EXPECT_EQ(driver->revision(), 1);
  EXPECT_EQ(driver->compact_revision(), -1);
  ASSERT_TRUE(driver.Put("a", "1").ok());
  EXPECT_EQ(driver->revision(), 2);
  EXPECT_EQ(driver.Delete("none").header().revision(), 2) << "no hit, no revision";
  EXPECT_EQ(driver.Delete("a").deleted(), 1);
  EXPECT_EQ(driver->revision(), 3);
  EXPECT_EQ(driver->logical_bytes(), 0u);
}

TEST(KvMachineTest, PutAnswersWithAHeaderAndWhatItReplaced) {
  MachineDriver driver;
  ASSERT_TRUE(driver.Put("a", "1").ok());
  InternalRaftRequest request;
  request.mutable_put()->set_key("a");
  request.mutable_put()->set_value("2");
  request.mutable_put()->set_prev_kv(true);
  const auto response = driver.Answer<etcdserverpb::PutResponse>(request);
  EXPECT_EQ(response.header().cluster_id(), 11u);
  EXPECT_EQ(response.header().member_id(), 22u);
  EXPECT_EQ(response.header().revision(), 3);
  EXPECT_EQ(response.header().raft_term(), MachineDriver::kTerm);
  EXPECT_EQ(response.prev_kv().value(), "1");
  EXPECT_EQ(response.prev_kv().mod_revision(), 2);
  EXPECT_EQ(driver.Get("a").kvs(0).version(), 2);
  EXPECT_EQ(driver.Get("a").kvs(0).create_revision(), 2);
}

TEST(KvMachineTest, ADeletedKeyBeginsAnew) {
  MachineDriver driver;
  ASSERT_TRUE(driver.Put("a", "1").ok());
  driver.Delete("a");
  ASSERT_TRUE(driver.Put("a", "2").ok());
  EXPECT_EQ(driver.Get("a").kvs(0).version(), 1);
  EXPECT_EQ(driver.Get("a").kvs(0).create_revision(), 4);
  EXPECT_EQ(driver.Get("a", 2).kvs(0).value(), "1");
  EXPECT_EQ(driver.Get("a", 3).count(), 0);
}

TEST(KvMachineTest, IgnoreValueAndLeaseNeedTheKey) {
  MachineDriver driver;
  InternalRaftRequest request;
  request.mutable_put()->set_key("a");
  request.mutable_put()->set_ignore_value(true);
  EXPECT_EQ(ErrorOf(driver.Apply(request).status), Error::kKeyNotFound);
  EXPECT_EQ(driver->revision(), 1);
  ASSERT_TRUE(driver.Put("a", "kept").ok());
  ASSERT_TRUE(driver.Apply(request).status.ok());
  EXPECT_EQ(driver.Get("a").kvs(0).value(), "kept");
  EXPECT_EQ(driver.Get("a").kvs(0).version(), 2);
}

TEST(KvMachineTest, LeasesHoldTheirKeys) {
  MachineDriver driver;
  EXPECT_EQ(ErrorOf(driver.Put("a", "1", 7)), Error::kLeaseNotFound);
  ASSERT_TRUE(Grant(&driver, 7).ok());
  EXPECT_EQ(ErrorOf(Grant(&driver, 7)), Error::kLeaseExists);
  EXPECT_EQ(ErrorOf(Grant(&driver, 8, kLeaseTtlMax + 1)), Error::kLeaseTtlTooLarge);
  ASSERT_TRUE(Grant(&driver, -9).ok()) << "ids may be negative";
  ASSERT_TRUE(driver.Put("b", "1", 7).ok());
  ASSERT_TRUE(driver.Put("a", "1", 7).ok());
  ASSERT_TRUE(driver.Put("c", "1", 7).ok());
  ASSERT_TRUE(driver.Put("c", "2").ok()) << "a put without a lease detaches";
  const int64_t before = driver->revision();
  InternalRaftRequest revoke;
  revoke.mutable_lease_revoke()->set_id(7);
  EXPECT_EQ(driver.Answer<etcdserverpb::LeaseRevokeResponse>(revoke).header().revision(),
            before + 1);
  EXPECT_EQ(driver.Get("a").count(), 0);
  EXPECT_EQ(driver.Get("b").count(), 0);
  EXPECT_EQ(driver.Get("c").count(), 1);
  EXPECT_EQ(ErrorOf(driver.Apply(revoke).status), Error::kLeaseNotFound);
  revoke.mutable_lease_revoke()->set_id(-9);
  EXPECT_EQ(driver.Answer<etcdserverpb::LeaseRevokeResponse>(revoke).header().revision(),
            before + 1)
      << "no keys, no revision";
}

TEST(KvMachineTest, CompactRefusesWhatEtcdRefuses) {
  MachineDriver driver;
  EXPECT_EQ(ErrorOf(driver.Compact(-1)), Error::kCompacted);
  EXPECT_TRUE(driver.Compact(0).ok());
  EXPECT_EQ(ErrorOf(driver.Compact(0)), Error::kCompacted);
  ASSERT_TRUE(driver.Put("a", "1").ok());
  EXPECT_EQ(ErrorOf(driver.Compact(3)), Error::kFutureRevision);
  EXPECT_TRUE(driver.Compact(2).ok());
  EXPECT_EQ(driver->compact_revision(), 2);
  EXPECT_EQ(driver->revision(), 2);
}

TEST(KvMachineTest, RevisionsSurviveACompactionOfATombstoneAndACrash) {
  MachineDriver driver;
  ASSERT_TRUE(driver.Put("a", "1").ok());
  driver.Delete("a");
  ASSERT_TRUE(driver.Compact(3).ok());
  driver.FinishCompaction();
  driver->Flush();
  driver.Crash();
  EXPECT_EQ(driver->revision(), 3) << "etcd #17780";
  EXPECT_EQ(driver->compact_revision(), 3);
  ASSERT_TRUE(driver.Put("a", "2").ok());
  EXPECT_EQ(driver.Get("a").kvs(0).create_revision(), 4);
  EXPECT_EQ(driver.Get("a", 3).count(), 0);
}

TEST(KvMachineTest, TheEntryOfANewLeaderOnlyMovesApplied) {
  MachineDriver driver;
  const raft::ApplyItem item = driver.Item("not a request", raft::EntryKind::kLeaderStart);
  std::vector<raft::ApplyResult> results;
  driver->Apply({&item, 1}, &results);
  EXPECT_TRUE(results[0].status.ok());
  EXPECT_EQ(driver->applied(), (raft::LogPosition{raft::Term(4), raft::Index(1)}));
  EXPECT_EQ(driver->revision(), 1);
}

TEST(KvMachineTest, BadCommandsAreAnsweredAndPassed) {
  MachineDriver driver;
  EXPECT_EQ(ErrorOf(driver.ApplyBytes("\xff\xff garbage").status), Error::kUndecodable);
  EXPECT_EQ(ErrorOf(driver.ApplyBytes("").status), Error::kUnknownRequest);
  InternalRaftRequest request;
  request.mutable_auth_enable();
  EXPECT_EQ(ErrorOf(driver.Apply(request).status), Error::kUnknownRequest);
  EXPECT_EQ(driver->applied().index, raft::Index(3));
}

TEST(KvMachineTest, LaterEntriesOfABatchSeeEarlierOnes) {
  MachineDriver driver;
  std::vector<raft::ApplyItem> items;
  for (int i = 1; i <= 3; ++i) {
    InternalRaftRequest request;
    request.mutable_put()->set_key("a");
    request.mutable_put()->set_value(std::to_string(i));
    auto entry = std::make_shared<raft::Entry>();
    entry->index = raft::Index(i);
    entry->term = raft::Term(1);
    entry->command = request.SerializeAsString();
    items.push_back({entry, i == 2});
  }
  std::vector<raft::ApplyResult> results;
  driver->Apply(items, &results);
  EXPECT_TRUE(results[0].response.empty()) << "nobody waits";
  etcdserverpb::PutResponse second;
  ASSERT_TRUE(second.ParseFromString(results[1].response));
  EXPECT_EQ(second.header().revision(), 3) << "as it was after that entry";
  EXPECT_EQ(driver.Get("a").kvs(0).version(), 3);
  EXPECT_EQ(driver.Get("a", 3).kvs(0).value(), "2");
}

TEST(KvMachineTest, NoSpaceStopsWhatTakesSpace) {
  MachineDriver driver;
  ASSERT_TRUE(driver.Put("a", "1").ok());
  EXPECT_EQ(
      AlarmDo(&driver, etcdserverpb::AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE).alarms_size(),
      1);
  EXPECT_EQ(ErrorOf(driver.Put("a", "2")), Error::kNoSpace);
  EXPECT_EQ(ErrorOf(Grant(&driver, 1)), Error::kNoSpace);
  InternalRaftRequest txn;
  auto* nested = txn.mutable_txn()->add_failure()->mutable_request_txn();
  nested->add_success()->mutable_request_put()->set_key("a");
  EXPECT_EQ(ErrorOf(driver.Apply(txn).status), Error::kNoSpace) << "whatever branch would run";
  txn.mutable_txn()->clear_failure();
  txn.mutable_txn()->add_success()->mutable_request_range()->set_key("a");
  EXPECT_TRUE(driver.Apply(txn).status.ok());
  EXPECT_EQ(driver.Get("a").count(), 1);
  EXPECT_EQ(driver.Delete("a").deleted(), 1);
  EXPECT_TRUE(driver.Compact(2).ok());
  EXPECT_EQ(AlarmDo(&driver, etcdserverpb::AlarmRequest::GET, etcdserverpb::NONE).alarms_size(), 1);
  EXPECT_EQ(
      AlarmDo(&driver, etcdserverpb::AlarmRequest::DEACTIVATE, etcdserverpb::NOSPACE).alarms_size(),
      1);
  EXPECT_EQ(
      AlarmDo(&driver, etcdserverpb::AlarmRequest::DEACTIVATE, etcdserverpb::NOSPACE).alarms_size(),
      0);
  EXPECT_TRUE(driver.Put("a", "2").ok());
}

TEST(KvMachineTest, CorruptStopsEveryWrite) {
  MachineDriver driver;
  AlarmDo(&driver, etcdserverpb::AlarmRequest::ACTIVATE, etcdserverpb::CORRUPT);
  EXPECT_EQ(ErrorOf(driver.Put("a", "2")), Error::kCorrupt);
  EXPECT_EQ(ErrorOf(driver.Compact(1)), Error::kCorrupt);
  EXPECT_EQ(driver.Get("a").count(), 0) << "reads go on";
}

TEST(KvMachineTest, MembersAndAlarmsAreReloaded) {
  MachineDriver driver;
  datum::membership::MembershipChange bootstrap;
  bootstrap.mutable_bootstrap()->add_members()->set_id(22);
  ASSERT_TRUE(driver.Change(bootstrap, raft::Configuration({raft::NodeId(22)})).status.ok());
  InternalRaftRequest request;
  auto* member = request.mutable_cluster_member_attr_set();
  member->set_member_id(22);
  member->mutable_member_attributes()->set_name("one");
  member->mutable_member_attributes()->add_client_urls("http://127.0.0.1:2379");
  ASSERT_TRUE(driver.Apply(request).status.ok());
  AlarmDo(&driver, etcdserverpb::AlarmRequest::ACTIVATE, etcdserverpb::NOSPACE);
  driver->Flush();
  driver.Crash();
  const Membership membership = driver->membership();
  ASSERT_EQ(membership.members.size(), 1u);
  EXPECT_EQ(membership.members[0].name(), "one");
  EXPECT_EQ(membership.members[0].client_urls(0), "http://127.0.0.1:2379");
  EXPECT_EQ(membership.configuration, raft::Configuration({raft::NodeId(22)}));
  EXPECT_EQ(membership.index, raft::Index(1));
  ASSERT_EQ(driver->alarms().size(), 1u);
  EXPECT_EQ(driver->alarms()[0].member_id, 22u);
  EXPECT_EQ(ErrorOf(driver.Put("a", "2")), Error::kNoSpace);
}

TEST(KvMachineTest, FlushesByBytesOrByAge) {
  MachineDriver driver;
  const base::TimePoint start{};
  EXPECT_FALSE(driver->FlushIfDue(start)) << "nothing to flush";
  ASSERT_TRUE(driver.Put("a", "1").ok());
  EXPECT_FALSE(driver->FlushIfDue(start));
  EXPECT_EQ(driver->persisted_applied()->index, raft::Index(0));
  EXPECT_FALSE(driver->FlushIfDue(start + std::chrono::minutes(4)));
  EXPECT_TRUE(driver->FlushIfDue(start + std::chrono::minutes(5)));
  EXPECT_EQ(driver->persisted_applied()->index, raft::Index(1));
  ASSERT_TRUE(driver.Put("a", std::string(2000, 'v')).ok());
  EXPECT_TRUE(driver->FlushIfDue(start + std::chrono::minutes(6)));
  EXPECT_EQ(driver->persisted_applied()->index, raft::Index(2));
}

}  // namespace
}  // namespace store
