// SPDX-License-Identifier: Apache-2.0

#include "client/lease.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_streams.h"

namespace client {
namespace {

std::unique_ptr<Client> ClientOf(const std::string& endpoint) {
  Options options;
  options.endpoints = {endpoint};
  options.pause_first = absl::Milliseconds(1);
  options.pause_longest = absl::Milliseconds(5);
  auto made = Client::Create(options);
  CHECK(made.ok()) << made.status();
  return *std::move(made);
}

TEST(LeaseKeeper, KeepsUntilTheServerDoesNotHaveTheLease) {
  FakeLeases leases({60, 60, 60, 0});
  FakeHost host({&leases});
  const auto client = ClientOf(host.endpoint());
  int kept = 0;
  const LeaseKeeper keeper(*client, 77,
                           {.interval = absl::Nanoseconds(1),
                            .on_kept = [&kept](const etcdserverpb::LeaseKeepAliveResponse& answer) {
                              EXPECT_EQ(answer.id(), 77);
                              ++kept;
                            }});
  ASSERT_TRUE(keeper.WaitUntilLost(absl::InfiniteDuration()));
  EXPECT_EQ(kept, 3);
  EXPECT_TRUE(absl::IsNotFound(keeper.status())) << keeper.status();
}

TEST(LeaseKeeper, ARefusalIsALoss) {
  FakeLocks locks;
  FakeHost host({&locks});  // leases are Unimplemented
  const auto client = ClientOf(host.endpoint());
  const LeaseKeeper keeper(*client, 77);
  ASSERT_TRUE(keeper.WaitUntilLost(absl::InfiniteDuration()));
  EXPECT_TRUE(absl::IsUnimplemented(keeper.status())) << keeper.status();
}

TEST(LeaseKeeper, EndsWhileTheLeaseLives) {
  FakeLeases leases({60});
  FakeHost host({&leases});
  const auto client = ClientOf(host.endpoint());
  absl::Notification kept;
  {
    const LeaseKeeper keeper(
        *client, 77,
        {.on_kept = [&kept](const etcdserverpb::LeaseKeepAliveResponse&) { kept.Notify(); }});
    kept.WaitForNotification();
    EXPECT_TRUE(keeper.status().ok());
    EXPECT_FALSE(keeper.WaitUntilLost(absl::ZeroDuration()));
  }
  EXPECT_EQ(leases.revoked(), 0);
}

TEST(Session, ItsLocksAndLeadershipsHangOnItsLeaseWhichEndsOnce) {
  FakeLeases leases({60});
  FakeLocks locks;
  FakeElections elections;
  FakeKeys keys(/*there=*/true);
  FakeHost host({&leases, &locks, &elections, &keys});
  const auto client = ClientOf(host.endpoint());
  {
    auto session = Session::Open(*client, 60);
    ASSERT_TRUE(session.ok()) << session.status();
    const auto lock = (*session)->Lock("jobs", absl::Seconds(20));
    ASSERT_TRUE(lock.ok()) << lock.status();
    EXPECT_EQ(lock->key, "jobs/77");
    EXPECT_EQ(lock->revision, 9);
    const auto leader = (*session)->Campaign("e", "me", absl::Seconds(20));
    ASSERT_TRUE(leader.ok()) << leader.status();
    EXPECT_EQ(leader->lease(), 77);
    EXPECT_TRUE((*session)->Close().ok());
    EXPECT_EQ(leases.revoked(), 1);
  }
  EXPECT_EQ(leases.revoked(), 1);
}

TEST(Session, ALockWhoseKeyIsGoneIsNotHeld) {
  FakeLeases leases({60});
  FakeLocks locks;
  FakeKeys keys(/*there=*/false);
  FakeHost host({&leases, &locks, &keys});
  const auto client = ClientOf(host.endpoint());
  auto session = Session::Open(*client, 60);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_TRUE(absl::IsAborted((*session)->Lock("jobs", absl::Seconds(20)).status()));
}

TEST(ElectionWatcher, SaysEachLeaderOnceOverBrokenStreams) {
  FakeElections elections;
  FakeHost host({&elections});
  const auto client = ClientOf(host.endpoint());
  ElectionWatcher watcher(*client, "e");
  for (int64_t revision = 1; revision <= 4; ++revision) {
    const auto leader = watcher.Next();
    ASSERT_TRUE(leader.ok()) << leader.status();
    EXPECT_EQ(leader->kv().mod_revision(), revision);
  }
  watcher.Stop();
  EXPECT_TRUE(absl::IsCancelled(watcher.Next().status()));
}

}  // namespace
}  // namespace client
