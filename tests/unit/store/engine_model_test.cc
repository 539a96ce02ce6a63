// SPDX-License-Identifier: Apache-2.0
//
// RocksDB against the memory engine: the same random batches, views, cursors, flushes, closes
// without a flush and drops, and the same answers.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/memory_engine.h"
#include "tests/unit/store/engine_history.h"

namespace store {
namespace {

class EnginePair {
 public:
  explicit EnginePair(uint64_t seed)
      : seed_(seed), random_(seed), directory_(TestDirectory("pair-" + std::to_string(seed))) {
    Open();
  }
  ~EnginePair() {
    // A view keeps the database open.
    views_.clear();
    rocks_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Step() {
    const uint64_t what = random_.Below(100);
    if (what < 70 || what >= 96) {
      Write();
    } else if (what < 78) {
      ExpectSame(*rocks_, *memory_, dropped_, "key" + std::to_string(random_.Below(50)),
                 "key" + std::to_string(random_.Below(50)));
    } else if (what < 84) {
      views_.push_back({rocks_->NewView(), memory_->NewView(), dropped_});
    } else if (what < 88 && !views_.empty()) {
      const View& view = views_[random_.Below(views_.size())];
      // Drops reach into views that are older than they.
      ExpectSame(*view.rocks, *view.memory, dropped_);
      if (random_.Chance(0.5)) views_.erase(views_.begin());
    } else if (what < 92) {
      rocks_->Flush();
      memory_->Flush();
      EXPECT_EQ(PersistedBatch(*rocks_), batch_);
      EXPECT_EQ(PersistedBatch(*memory_), batch_);
    } else if (what < 94) {
      Drop();
    } else if (what < 96) {
      CloseWithoutFlush();
    }
  }

  void Compare() { ExpectSame(*rocks_, *memory_, dropped_); }

 private:
  struct View {
    std::shared_ptr<const Reader> rocks;
    std::shared_ptr<const Reader> memory;
    Dropped dropped;
  };

  void Open() {
    rocks_ = OpenRocks(directory_);
    ASSERT_NE(rocks_, nullptr);
    memory_ = std::make_unique<MemoryEngine>(disk_);
  }

  void Write() {
    const Batch batch = MakeBatch(seed_, ++batch_);
    rocks_->Write(batch.operations);
    memory_->Write(batch.operations);
  }

  void Drop() {
    rocks_->Flush();
    memory_->Flush();
    const std::string bound = RevisionKey({static_cast<int64_t>(batch_ / 2), 0});
    dropped_ = {bound, bound, bound};
    for (Engine* engine : {rocks_.get(), memory_.get()}) {
      engine->DropKeysBelow(Family::kRevision, bound);
      engine->DropKeysBelow(Family::kKept, bound);
      engine->DropValuesBelow(Family::kDeleted, bound);
    }
  }

  // RocksDB may have flushed more by itself; what the two do not share is written again.
  void CloseWithoutFlush() {
    views_.clear();
    const uint64_t persisted = PersistedBatch(*rocks_);
    const uint64_t flushed = PersistedBatch(*memory_);
    EXPECT_GE(persisted, flushed);
    rocks_.reset();
    memory_.reset();
    disk_->Crash();
    Open();
    const uint64_t stands_at = LastBatch(*rocks_);
    EXPECT_GE(stands_at, persisted);
    EXPECT_EQ(LastBatch(*memory_), flushed);
    for (uint64_t number = flushed + 1; number <= stands_at; ++number) {
      memory_->Write(MakeBatch(seed_, number).operations);
    }
    batch_ = stands_at;
    Compare();
  }

  const uint64_t seed_;
  base::Random random_;
  const std::string directory_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<Engine> rocks_;
  std::unique_ptr<Engine> memory_;
  std::vector<View> views_;
  Dropped dropped_;
  uint64_t batch_ = 0;
};

TEST(EngineModelTest, RocksEqualsMemory) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    EnginePair pair(seed);
    for (int i = 0; i < 300 && !HasFailure(); ++i) pair.Step();
    pair.Compare();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace store
