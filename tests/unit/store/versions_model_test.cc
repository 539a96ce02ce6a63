// SPDX-License-Identifier: Apache-2.0
//
// Random histories with transactions, leases, compactions, background work at any pace, flushes,
// crashes and replays: every answer and every read at every revision equals the plain map's, and a
// replay answers as the first time.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/errors.h"
#include "store/kv_machine.h"
#include "store/memory_engine.h"
#include "store/rocks_engine.h"
#include "tests/unit/store/version_model.h"

namespace store {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::InternalRaftRequest;
using etcdserverpb::TxnRequest;

constexpr int kKeys = 12;
const std::string kZero(1, '\0');

// Where a machine's engine lives on when the machine crashes.
class Ground {
 public:
  virtual ~Ground() = default;
  virtual std::unique_ptr<Engine> Open() = 0;
  virtual void Crash() = 0;
};

class MemoryGround final : public Ground {
 public:
  std::unique_ptr<Engine> Open() override { return std::make_unique<MemoryEngine>(disk_); }
  void Crash() override { disk_->Crash(); }

 private:
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
};

// Without a WAL and without a flush at the end, a close is a crash.
class RocksGround final : public Ground {
 public:
  explicit RocksGround(uint64_t seed)
      : directory_(std::string(std::getenv("TEST_TMPDIR")) + "/state-" + std::to_string(seed)) {}
  ~RocksGround() override { std::filesystem::remove_all(directory_); }
  std::unique_ptr<Engine> Open() override {
    RocksOptions options;
    options.directory = directory_;
    options.family_write_buffer_bytes = 64 << 10;
    auto engine = RocksEngine::Open(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }
  void Crash() override {}

 private:
  const std::string directory_;
};

class RandomHistory {
 public:
  RandomHistory(uint64_t seed, Ground* ground) : random_(seed), ground_(ground) { OpenMachine(); }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) Step();
    CheckReads();
  }

  int crashes() const { return crashes_; }
  int64_t compactions_done() const { return compactions_done_; }

 private:
  void Step() {
    const uint64_t what = random_.Below(100);
    if (what < 60) {
      ApplyNew(1 + random_.Below(6));
    } else if (what < 80) {
      auto more = machine_->CompactStep(1 + random_.Below(8));
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) ++compactions_done_;
    } else if (what < 85) {
      machine_->Flush();
    } else if (what < 88) {
      CrashAndReplay();
    } else {
      CheckReads();
    }
  }

  void OpenMachine() {
    KvMachineOptions options;
    options.datum_cache_bytes = random_.Chance(0.5) ? 0 : 1 << 20;
    auto machine = KvMachine::Open(ground_->Open(), options);
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
  }

  void ApplyNew(uint64_t count) {
    std::vector<raft::ApplyItem> items;
    for (uint64_t i = 0; i < count; ++i) {
      auto entry = std::make_shared<raft::Entry>();
      entry->index = raft::Index(log_.size() + 1);
      entry->term = raft::Term(3);
      const InternalRaftRequest request = RandomRequest();
      entry->command = request.SerializeAsString();
      log_.push_back(entry);
      refusals_.emplace_back();
      answers_.push_back(model_.Apply(request, &refusals_.back()));
      hashes_.push_back(0);
      items.push_back({entry, true});
    }
    ApplyAndCompare(items);
  }

  void ApplyAndCompare(const std::vector<raft::ApplyItem>& items) {
    std::vector<raft::ApplyResult> results;
    machine_->Apply(items, &results);
    ASSERT_EQ(results.size(), items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      const size_t at = items[i].entry->index.value() - 1;
      InternalRaftRequest request;
      ASSERT_TRUE(request.ParseFromString(items[i].entry->command));
      EXPECT_EQ(std::string(results[i].status.message()), refusals_[at])
          << request.ShortDebugString();
      if (!results[i].status.ok()) continue;
      EXPECT_EQ(WithoutTerm(request, results[i].response), answers_[at])
          << request.ShortDebugString();
    }
    uint64_t& hash = hashes_[items.back().entry->index.value() - 1];
    if (hash != 0) {
      EXPECT_EQ(machine_->state_hash(), hash) << "a replay must lead to the same state";
    }
    hash = machine_->state_hash();
  }

  template <typename Response>
  static std::string StripTerm(const std::string& bytes) {
    Response response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_EQ(response.header().raft_term(), 3u);
    response.mutable_header()->clear_raft_term();
    return response.SerializeAsString();
  }

  static std::string WithoutTerm(const InternalRaftRequest& request, const std::string& bytes) {
    if (request.has_put()) return StripTerm<etcdserverpb::PutResponse>(bytes);
    if (request.has_delete_range()) return StripTerm<etcdserverpb::DeleteRangeResponse>(bytes);
    if (request.has_txn()) return StripTerm<etcdserverpb::TxnResponse>(bytes);
    if (request.has_compaction()) return StripTerm<etcdserverpb::CompactionResponse>(bytes);
    if (request.has_lease_grant()) return StripTerm<etcdserverpb::LeaseGrantResponse>(bytes);
    return StripTerm<etcdserverpb::LeaseRevokeResponse>(bytes);
  }

  void CrashAndReplay() {
    ++crashes_;
    auto persisted = machine_->persisted_applied();
    ASSERT_TRUE(persisted.ok()) << persisted.status();
    machine_.reset();
    ground_->Crash();
    OpenMachine();
    ASSERT_GE(machine_->applied().index, persisted->index);
    while (machine_->applied().index.value() < log_.size()) {
      std::vector<raft::ApplyItem> items;
      const uint64_t count = 1 + random_.Below(9);
      for (uint64_t at = machine_->applied().index.value();
           at < log_.size() && items.size() < count; ++at) {
        items.push_back({log_[at], true});
      }
      ApplyAndCompare(items);
      if (random_.Chance(0.3)) {
        ASSERT_TRUE(machine_->CompactStep(1 + random_.Below(8)).ok());
      }
    }
  }

  void CheckReads() {
    ASSERT_EQ(machine_->revision(), model_.revision());
    ASSERT_EQ(machine_->compact_revision(), model_.compact_revision());
    ASSERT_EQ(static_cast<int64_t>(machine_->logical_bytes()), model_.live_bytes());
    const int64_t oldest = std::max<int64_t>(model_.compact_revision(), 1);
    CheckHash(oldest + random_.Below(model_.revision() - oldest + 1));
    CheckRange("a", kZero, 0);
    for (int64_t at = std::max(oldest, model_.revision() - 40); at <= model_.revision(); ++at) {
      CheckRange("a", kZero, at);
    }
    CheckRange("a", kZero, oldest);
    CheckRange(RandomKey(), "", oldest + random_.Below(model_.revision() - oldest + 1));
    CheckRefused(model_.revision() + 1, Error::kFutureRevision);
    if (oldest > 1) CheckRefused(oldest - 1, Error::kCompacted);
  }

  // What was hashed once is hashed the same again, whatever crashed, was flushed, compacted or
  // dropped since.
  void CheckHash(int64_t revision) {
    const auto hash = machine_->HashKv(revision);
    ASSERT_TRUE(hash.ok()) << hash.status();
    const auto [known, added] = kv_hashes_.emplace(revision, hash->hash);
    EXPECT_EQ(known->second, hash->hash) << "at " << revision;
    kv_hashes_compared_ += added ? 0 : 1;
  }

  void CheckRange(const std::string& key, const std::string& range_end, int64_t revision) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(range_end);
    request.set_revision(revision);
    request.set_limit(random_.Below(6));
    etcdserverpb::RangeResponse response;
    const absl::Status status = machine_->Range(request, 3, &response);
    ASSERT_TRUE(status.ok()) << status << " at " << revision;
    const auto expected = model_.Range(key, range_end, revision);
    EXPECT_EQ(response.count(), static_cast<int64_t>(expected.size())) << "at " << revision;
    const size_t shown =
        request.limit() == 0 ? expected.size() : std::min<size_t>(expected.size(), request.limit());
    EXPECT_EQ(response.more(), shown < expected.size());
    ASSERT_EQ(static_cast<size_t>(response.kvs_size()), shown) << "at " << revision;
    for (size_t i = 0; i < shown; ++i) {
      EXPECT_EQ(response.kvs(i).ShortDebugString(), expected[i].ShortDebugString())
          << "at " << revision << ", compacted to " << model_.compact_revision();
    }
  }

  void CheckRefused(int64_t revision, Error error) {
    etcdserverpb::RangeRequest request;
    request.set_key("a");
    request.set_revision(revision);
    etcdserverpb::RangeResponse response;
    EXPECT_EQ(ErrorOf(machine_->Range(request, 3, &response)), error);
  }

  std::string RandomKey() { return std::string(1, static_cast<char>('a' + random_.Below(kKeys))); }

  int64_t RandomLease() { return random_.Chance(0.6) ? 0 : 1 + random_.Below(5); }

  InternalRaftRequest RandomRequest() {
    InternalRaftRequest request;
    const uint64_t what = random_.Below(100);
    if (what < 45) {
      *request.mutable_put() = RandomPut(RandomKey());
    } else if (what < 57) {
      FillDelete(request.mutable_delete_range(), random_.Chance(0.2));
    } else if (what < 85) {
      std::set<std::string> written;
      *request.mutable_txn() = RandomTxn(2, &written);
    } else if (what < 92) {
      request.mutable_compaction()->set_revision(
          std::max<int64_t>(0, model_.revision() + 1 - static_cast<int64_t>(random_.Below(25))));
    } else if (what < 97) {
      request.mutable_lease_grant()->set_id(1 + random_.Below(5));
      request.mutable_lease_grant()->set_ttl(10);
    } else {
      request.mutable_lease_revoke()->set_id(1 + random_.Below(5));
    }
    return request;
  }

  etcdserverpb::PutRequest RandomPut(const std::string& key) {
    etcdserverpb::PutRequest put;
    put.set_key(key);
    put.set_prev_kv(random_.Chance(0.3));
    put.set_ignore_value(random_.Chance(0.1));
    put.set_ignore_lease(random_.Chance(0.1));
    if (!put.ignore_value()) put.set_value(std::string(random_.Below(9), 'v') + key);
    if (!put.ignore_lease()) put.set_lease(RandomLease());
    return put;
  }

  void FillDelete(etcdserverpb::DeleteRangeRequest* request, bool wide) {
    request->set_key(RandomKey());
    if (wide) request->set_range_end(random_.Chance(0.1) ? kZero : RandomKey());
    request->set_prev_kv(random_.Chance(0.3));
  }

  TxnRequest RandomTxn(int depth, std::set<std::string>* written) {
    TxnRequest txn;
    for (uint64_t i = random_.Below(3); i > 0; --i) *txn.add_compare() = RandomCompare();
    std::set<std::string> otherwise = *written;
    FillBranch(txn.mutable_success(), depth, written);
    FillBranch(txn.mutable_failure(), depth, &otherwise);
    written->insert(otherwise.begin(), otherwise.end());
    return txn;
  }

  Compare RandomCompare() {
    Compare compare;
    compare.set_key(RandomKey());
    if (random_.Chance(0.3)) compare.set_range_end(random_.Chance(0.3) ? kZero : RandomKey());
    compare.set_result(static_cast<Compare::CompareResult>(random_.Below(4)));
    compare.set_target(static_cast<Compare::CompareTarget>(random_.Below(5)));
    const auto near = static_cast<int64_t>(random_.Below(4));
    switch (compare.target()) {
      case Compare::VERSION:
        compare.set_version(near);
        break;
      case Compare::CREATE:
        compare.set_create_revision(near == 0 ? 0 : model_.revision() - 5 * near);
        break;
      case Compare::MOD:
        compare.set_mod_revision(near == 0 ? 0 : model_.revision() - 2 * near);
        break;
      case Compare::VALUE:
        compare.set_value(std::string(near, 'v') + compare.key());
        break;
      default:
        compare.set_lease(near);
    }
    return compare;
  }

  // No key is written twice on one path, as the API demands.
  void FillBranch(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* operations,
                  int depth, std::set<std::string>* written) {
    for (uint64_t i = random_.Below(4); i > 0; --i) {
      const uint64_t what = random_.Below(10);
      if (what < 3) {
        auto* range = operations->Add()->mutable_request_range();
        range->set_key(RandomKey());
        if (random_.Chance(0.6)) range->set_range_end(kZero);
        if (random_.Chance(0.4)) {
          range->set_revision(model_.revision() + 1 - static_cast<int64_t>(random_.Below(12)));
        }
      } else if (what < 9 || depth == 0) {
        const std::string key = RandomKey();
        if (!written->insert(key).second) continue;
        if (what < 7) {
          *operations->Add()->mutable_request_put() = RandomPut(key);
        } else {
          operations->Add()->mutable_request_delete_range()->set_key(key);
        }
      } else {
        *operations->Add()->mutable_request_txn() = RandomTxn(depth - 1, written);
      }
    }
  }

  base::Random random_;
  Ground* const ground_;
  VersionModel model_;
  std::unique_ptr<KvMachine> machine_;
  std::vector<raft::EntryRef> log_;
  std::vector<std::string> answers_;
  std::vector<std::string> refusals_;
  // Of the state after each entry that ended a batch; 0 if none did.
  std::vector<uint64_t> hashes_;
  // HashKV by revision.
  std::map<int64_t, uint32_t> kv_hashes_;
  int kv_hashes_compared_ = 0;
  int crashes_ = 0;
  int64_t compactions_done_ = 0;
};

TEST(VersionsModelTest, MemoryEngineEqualsThePlainMap) {
  int crashes = 0;
  int64_t compactions = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    MemoryGround ground;
    RandomHistory history(seed, &ground);
    history.Run(200);
    if (HasFailure()) FAIL() << "seed " << seed;
    crashes += history.crashes();
    compactions += history.compactions_done();
  }
  EXPECT_GT(crashes, 300);
  EXPECT_GT(compactions, 300);
}

TEST(VersionsModelTest, RocksEngineEqualsThePlainMap) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    RocksGround ground(seed);
    RandomHistory history(seed, &ground);
    history.Run(250);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace store
