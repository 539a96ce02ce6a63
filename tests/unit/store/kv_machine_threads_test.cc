// SPDX-License-Identifier: Apache-2.0
//
// Readers at any revision beside an applier and a compacter: each answer is one moment's.
//
// Every write puts the same number under all keys, so a Range that mixes two moments shows two
// numbers, and the revision tells which number must be shown.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/errors.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

constexpr int kKeys = 5;
constexpr int kWrites = 1500;

// Puts "k0".."k4" = `number` under revision `number`; "k9" comes with even ones and goes with odd.
etcdserverpb::InternalRaftRequest PutAll(int64_t number) {
  etcdserverpb::InternalRaftRequest request;
  for (int i = 0; i < kKeys; ++i) {
    auto* put = request.mutable_txn()->add_success()->mutable_request_put();
    put->set_key("k" + std::to_string(i));
    put->set_value(std::to_string(number));
  }
  if (number % 2 == 0) {
    auto* put = request.mutable_txn()->add_success()->mutable_request_put();
    put->set_key("k9");
    put->set_value(std::to_string(number));
  } else {
    request.mutable_txn()->add_success()->mutable_request_delete_range()->set_key("k9");
  }
  return request;
}

void ExpectOneMoment(const etcdserverpb::RangeResponse& response, int64_t at) {
  if (at == 0) at = response.header().revision();
  ASSERT_EQ(response.count(), kKeys + (at % 2 == 0 ? 1 : 0)) << "at " << at;
  for (const auto& kv : response.kvs()) ASSERT_EQ(kv.value(), std::to_string(at));
}

// Every `install_every`-th write the machine goes on from a copy of its state; 0 is never.
void ReadBesideTheApplier(int64_t install_every) {
  MachineDriver driver;
  driver.Apply(PutAll(2));
  std::atomic<bool> stop{false};
  std::atomic<int64_t> reads_in_the_past{0};
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    threads.emplace_back([&, seed] {
      base::Random random(seed);
      int64_t last_seen = 0;
      while (!stop.load()) {
        etcdserverpb::RangeRequest request;
        request.set_key("k0");
        const bool one_key = random.Chance(0.3);
        if (!one_key) request.set_range_end("l");
        const int64_t oldest = std::max<int64_t>(driver->compact_revision(), 2);
        const auto span = static_cast<uint64_t>(driver->revision() - oldest + 1);
        if (random.Chance(0.6)) request.set_revision(oldest + random.Below(span));
        etcdserverpb::RangeResponse response;
        const absl::Status status = driver->Range(request, 4, &response);
        if (!status.ok()) {
          ASSERT_EQ(ErrorOf(status), Error::kCompacted) << status;
          continue;
        }
        ASSERT_GE(response.header().revision(), last_seen);
        last_seen = response.header().revision();
        if (request.revision() != 0) ++reads_in_the_past;
        if (!one_key) {
          ExpectOneMoment(response, request.revision());
        } else {
          const int64_t at = request.revision() != 0 ? request.revision() : last_seen;
          ASSERT_EQ(response.kvs(0).value(), std::to_string(at));
        }
      }
    });
  }
  threads.emplace_back([&] {
    base::TimePoint now{};
    while (!stop.load()) {
      ASSERT_TRUE(driver->CompactStep(7).ok());
      now += std::chrono::minutes(1);
      driver->FlushIfDue(now);
      ASSERT_TRUE(driver->persisted_applied().ok());
      ASSERT_GT(driver->physical_bytes(), 0u);
      driver->membership();
    }
  });
  for (int64_t number = 3; number < kWrites; ++number) {
    ASSERT_TRUE(driver.Apply(PutAll(number)).status.ok());
    if (number % 20 == 0) {
      ASSERT_TRUE(driver.Compact(number - 10).ok());
    }
    if (install_every > 0 && number % install_every == 0) {
      ASSERT_TRUE(driver.MoveToCopy().ok());
    }
  }
  while (reads_in_the_past.load() < 50) std::this_thread::yield();
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(driver->revision(), kWrites - 1);
}

TEST(KvMachineThreadsTest, EveryReadIsOfOneMoment) { ReadBesideTheApplier(0); }

TEST(KvMachineThreadsTest, AnInstallDisturbsNoReader) { ReadBesideTheApplier(50); }

}  // namespace
}  // namespace store
