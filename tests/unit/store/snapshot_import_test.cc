// SPDX-License-Identifier: Apache-2.0
//
// A store that goes out as etcd's file and comes back is the same store, at every revision that is
// not compacted.

#include "store/snapshot_import.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "store/errors.h"
#include "store/memory_engine.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::InternalRaftRequest;
using etcdserverpb::RangeRequest;

// A store, and the ways out of it and back.
class Exchange {
 public:
  // Random history with Txns, deletes, leases and, with `compacted`, compactions at any state of
  // their background work.
  void Fill(uint64_t seed, bool compacted) {
    base::Random random(seed);
    for (int64_t lease = 1; lease <= 3; ++lease) {
      InternalRaftRequest grant;
      grant.mutable_lease_grant()->set_id(lease * 100);
      grant.mutable_lease_grant()->set_ttl(1000 + lease);
      ASSERT_TRUE(driver_.Apply(grant).status.ok());
    }
    for (int i = 0; i < 200; ++i) {
      InternalRaftRequest request;
      std::set<std::string> keys;
      for (uint64_t k = random.Between(1, 4); k > 0; --k) {
        keys.insert(absl::StrCat("k", random.Below(15)));
      }
      for (const std::string& key : keys) {
        auto* operation = request.mutable_txn()->add_success();
        if (random.Chance(0.25)) {
          operation->mutable_request_delete_range()->set_key(key);
        } else {
          operation->mutable_request_put()->set_key(key);
          operation->mutable_request_put()->set_value(std::string(random.Below(200), 'v'));
          operation->mutable_request_put()->set_lease(
              random.Chance(0.3) ? 100 * static_cast<int64_t>(random.Between(1, 3)) : 0);
        }
      }
      ASSERT_TRUE(driver_.Apply(request).status.ok());
      if (compacted && random.Chance(0.03)) {
        const int64_t to = driver_->revision() - static_cast<int64_t>(random.Below(20));
        if (to > std::max<int64_t>(driver_->compact_revision(), 1)) {
          ASSERT_TRUE(driver_.Compact(to).ok());
        }
        if (random.Chance(0.5)) driver_.FinishCompaction();
      }
    }
  }

  std::string Save() {
    const auto snapshot =
        driver_->PlanEtcdSnapshot("3.7.0", &files_, testing::TempDir() + "/import_spool");
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    std::string bytes;
    const absl::Status written = (*snapshot)->Write([&](std::string_view part) {
      bytes.append(part);
      return true;
    });
    EXPECT_TRUE(written.ok()) << written;
    EXPECT_EQ(bytes.size(), (*snapshot)->bytes());
    const std::string path = testing::TempDir() + "/import_test.db";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  static ImportOptions Options() {
    ImportOptions options;
    options.position = {raft::Term(1), raft::Index(1)};
    options.configuration = raft::Configuration({raft::NodeId(5)}, {});
    options.members.emplace_back().set_id(5);
    return options;
  }

  // A machine on what the file says.
  std::unique_ptr<KvMachine> Import(const std::string& path, const ImportOptions& options,
                                    Imported* imported) {
    const auto file = bolt::FileReader::Open(path, 0);
    EXPECT_TRUE(file.ok()) << file.status();
    auto engine = std::make_unique<MemoryEngine>(std::make_shared<MemoryDisk>());
    const auto done = ImportSnapshot(**file, options, engine.get());
    EXPECT_TRUE(done.ok()) << done.status();
    if (!done.ok()) return nullptr;
    *imported = *done;
    auto machine = KvMachine::Open(std::move(engine), KvMachineOptions());
    EXPECT_TRUE(machine.ok()) << machine.status();
    return *std::move(machine);
  }

  static std::string All(const KvMachine& machine, int64_t revision) {
    RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    request.set_revision(revision);
    etcdserverpb::RangeResponse response;
    const absl::Status read = machine.Range(request, 1, &response);
    EXPECT_TRUE(read.ok()) << read << " at " << revision;
    response.clear_header();
    return response.ShortDebugString();
  }

  KvMachine* operator->() { return driver_.operator->(); }
  MachineDriver& driver() { return driver_; }

 private:
  MachineDriver driver_;
  base::PosixFileSystem files_;
};

TEST(SnapshotImportTest, ComesBackAsItWentAtEveryRevision) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Exchange store;
    store.Fill(seed, /*compacted=*/seed % 4 != 0);
    if (HasFailure()) FAIL() << "seed " << seed;
    Imported imported;
    const auto copy = store.Import(store.Save(), Exchange::Options(), &imported);
    ASSERT_NE(copy, nullptr) << "seed " << seed;
    EXPECT_EQ(copy->revision(), store->revision());
    EXPECT_EQ(copy->compact_revision(), store->compact_revision());
    EXPECT_EQ(copy->logical_bytes(), store->logical_bytes());
    EXPECT_EQ(imported.leases, 3u);
    EXPECT_EQ(copy->membership().members.size(), 1u);
    for (int64_t at = std::max<int64_t>(store->compact_revision(), 1); at <= store->revision();
         ++at) {
      ASSERT_EQ(Exchange::All(*copy, at), Exchange::All(*store.operator->(), at))
          << "seed " << seed << " at " << at;
    }
    EXPECT_EQ(copy->HashKv(0)->hash, store->HashKv(0)->hash) << "seed " << seed;
    for (int64_t lease = 100; lease <= 300; lease += 100) {
      EXPECT_EQ(*copy->KeysOfLease(lease), *store->KeysOfLease(lease));
    }
  }
}

TEST(SnapshotImportTest, RevisionsMayBeRaisedAndThePastClosed) {
  Exchange store;
  store.Fill(1, /*compacted=*/true);
  ImportOptions options = Exchange::Options();
  options.bump_revision = 1'000'000;
  options.mark_compacted = true;
  Imported imported;
  const auto copy = store.Import(store.Save(), options, &imported);
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->revision(), store->revision() + 1'000'000);
  EXPECT_EQ(copy->compact_revision(), copy->revision());
  EXPECT_EQ(Exchange::All(*copy, 0), Exchange::All(*store.operator->(), 0));
  EXPECT_EQ(ErrorOf(copy->ReadChanges(store->revision(), copy->revision(), 1000).status()),
            Error::kCompacted);
}

TEST(SnapshotImportTest, WhatIsMissingOrWrongIsRefused) {
  Exchange store;
  store.Fill(2, /*compacted=*/false);
  const std::string path = store.Save();
  // A version that is not one more than the one before.
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::string version_two = std::string("\x20\x02", 2);
  const size_t at = bytes.find(version_two, 3 * 4096);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = 9;
  std::ofstream(path, std::ios::binary) << bytes;
  const auto file = bolt::FileReader::Open(path, 0);
  ASSERT_TRUE(file.ok());
  MemoryEngine engine(std::make_shared<MemoryDisk>());
  const auto imported = ImportSnapshot(**file, Exchange::Options(), &engine);
  EXPECT_TRUE(absl::IsDataLoss(imported.status())) << imported.status();
}

TEST(SnapshotImportTest, TheSummaryIsThatOfTheStore) {
  Exchange store;
  store.Fill(3, /*compacted=*/true);
  const auto file = bolt::FileReader::Open(store.Save(), 0);
  ASSERT_TRUE(file.ok());
  const auto summary = SummarizeSnapshot(**file);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->revision, store->revision());
  EXPECT_EQ(summary->version, "3.7.0");
  RangeRequest count;
  count.set_key(std::string(1, '\0'));
  count.set_range_end(std::string(1, '\0'));
  count.set_count_only(true);
  EXPECT_EQ(summary->total_keys, static_cast<uint64_t>(store.driver().Range(count).count()));
}

}  // namespace
}  // namespace store
