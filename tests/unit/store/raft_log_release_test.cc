// SPDX-License-Identifier: Apache-2.0
//
// The front of the log goes by whole segments, and what remains says where it begins.

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/store/raft_log_fixture.h"

namespace store {
namespace {

using raft::EntryRef;
using raft::Index;
using raft::LogPosition;
using raft::Term;

using RaftLogReleaseTest = RaftLogTest;

TEST_F(RaftLogReleaseTest, WholeSegmentsGo) {
  segment_bytes_ = 2048;  // the header and three batches
  Open();
  for (uint64_t i = 1; i <= 10; ++i) Append({MakeEntry(i, i, "e")});
  EXPECT_EQ(log_->Release(Index(2)), (LogPosition{}));
  EXPECT_EQ(log_->Release(Index(3)), (LogPosition{Term(3), Index(3)}));
  EXPECT_EQ(log_->Release(Index(8)), (LogPosition{Term(6), Index(6)}));
  EXPECT_EQ(log_->Read(Index(6), 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReadAll(9), "9/9=e 10/10=e ");
  Open(8);
  EXPECT_EQ(contents_.base, (LogPosition{Term(6), Index(6)}));
  EXPECT_EQ(contents_.term_runs.front(), (LogPosition{Term(7), Index(7)}));
  EXPECT_EQ(contents_.tail.size(), 2u);
  EXPECT_EQ(ReadAll(7), "7/7=e 8/8=e 9/9=e 10/10=e ");
  // The one that is written to stays.
  EXPECT_EQ(log_->Release(Index(10)), (LogPosition{Term(9), Index(9)}));
}

TEST_F(RaftLogReleaseTest, TheReserveStays) {
  segment_bytes_ = 2048;
  reserve_bytes_ = 3000;
  Open();
  for (uint64_t i = 1; i <= 12; ++i) Append({MakeEntry(1, i, "e")});
  EXPECT_EQ(log_->Release(Index(12)), (LogPosition{Term(1), Index(6)}));
}

// The last segment's first entries replaced some of an older segment: the log begins behind the
// one before them, whose term is written nowhere else.
TEST_F(RaftLogReleaseTest, ReplacedEntriesReachBelowTheSegmentsBase) {
  segment_bytes_ = 2048;
  Open();
  for (uint64_t i = 1; i <= 4; ++i) Append({MakeEntry(2, i, "old")});
  for (uint64_t i = 2; i <= 6; ++i) Append({MakeEntry(5, i, "new")});
  EXPECT_EQ(log_->Release(Index(6)), (LogPosition{Term(5), Index(3)}));
  Open();
  EXPECT_EQ(contents_.base, (LogPosition{Term(5), Index(3)}));

  files_ = base::SimulatedFileSystem();
  Open();
  for (uint64_t i = 1; i <= 3; ++i) Append({MakeEntry(2, i, "old")});
  Append({MakeEntry(5, 2, "new")});
  EXPECT_EQ(log_->Release(Index(1)), (LogPosition{Term(2), Index(1)}));
  EXPECT_EQ(ReadAll(2), "5/2=new ");
  Open();
  EXPECT_EQ(contents_.base, (LogPosition{Term(2), Index(1)}));
  EXPECT_EQ(contents_.term_runs, (std::vector<LogPosition>{{Term(5), Index(2)}}));
  EXPECT_EQ(ReadAll(2), "5/2=new ");
}

TEST_F(RaftLogReleaseTest, RestartForgetsAllAndRemovesTheFiles) {
  segment_bytes_ = 2048;
  Open();
  for (uint64_t i = 1; i <= 10; ++i) Append({MakeEntry(1, i, "e")});
  log_->Restart({Term(3), Index(20)});
  EXPECT_EQ(Names(), "0000000000000005.log ");
  EXPECT_EQ(log_->Read(Index(20), 1).status().code(), absl::StatusCode::kOutOfRange);
  Append({MakeEntry(3, 21, "k")});
  EXPECT_EQ(ReadAll(21), "3/21=k ");
  Open();
  EXPECT_EQ(contents_.base, (LogPosition{Term(3), Index(20)}));
  EXPECT_EQ(contents_.last_index, Index(21));
}

// A plain list of what the log must hold.
class Model {
 public:
  std::vector<EntryRef> entries;  // from index 1 on, released ones too
  LogPosition base;
  uint64_t released = 0;

  uint64_t last() const { return entries.size(); }
};

class RaftLogHistoryTest : public RaftLogTest {
 protected:
  std::vector<EntryRef> NextBatch() {
    const uint64_t firm = std::max(model_.released, model_.base.index.value());
    uint64_t from = model_.last();
    if (random_.Chance(0.25)) from -= random_.Below(std::min<uint64_t>(from - firm, 12) + 1);
    term_ += random_.Below(2) + (from < model_.last() ? 1 : 0);
    std::vector<EntryRef> batch;
    for (uint64_t n = random_.Between(1, 5); n > 0; --n) {
      batch.push_back(MakeEntry(term_, ++from, std::string(random_.Below(400), 'v')));
    }
    return batch;
  }
  void Take(const std::vector<EntryRef>& batch) {
    model_.entries.resize(batch.front()->index.value() - 1);
    model_.entries.insert(model_.entries.end(), batch.begin(), batch.end());
  }
  void Check() {
    const uint64_t base = model_.base.index.value();
    ASSERT_EQ(contents_.base, model_.base);
    ASSERT_EQ(contents_.last_index.value(), model_.last());
    for (uint64_t i = base + 1; i <= model_.last(); i += random_.Between(1, 9)) {
      const auto entries = log_->Read(Index(i), 100);
      ASSERT_TRUE(entries.ok()) << entries.status();
      for (const EntryRef& entry : *entries) {
        const EntryRef& wanted = model_.entries[entry->index.value() - 1];
        ASSERT_EQ(entry->position(), wanted->position());
        ASSERT_EQ(entry->command, wanted->command);
      }
    }
    for (const LogPosition& run : contents_.term_runs) {
      ASSERT_EQ(model_.entries[run.index.value() - 1]->term, run.term);
    }
  }
  void Release() {
    if (model_.last() == model_.base.index.value()) return;
    model_.released =
        std::max(model_.released, random_.Between(model_.base.index.value(), model_.last()));
    const LogPosition base = log_->Release(Index(model_.released));
    ASSERT_LE(base.index.value(), model_.released);
    ASSERT_GE(base.index, model_.base.index);
    if (base.index > Index{}) {
      ASSERT_EQ(base.term,
                base == model_.base ? base.term : model_.entries[base.index.value() - 1]->term);
    }
    model_.base = base;
  }
  void Restart() {
    const uint64_t at = model_.last() + random_.Between(1, 20);
    ++term_;
    while (model_.last() < at) model_.entries.push_back(MakeEntry(term_, model_.last() + 1, ""));
    model_.base = {Term(term_), Index(at)};
    model_.released = at;
    log_->Restart(model_.base);
  }
  // The batch that is being written when the power goes is there or not.
  void LosePower() {
    const std::vector<EntryRef> batch = NextBatch();
    log_->Append(batch);
    files_.LosePower(&random_);
    Open();
    if (contents_.last_index == batch.back()->index &&
        log_->Read(batch.back()->index, 1)->at(0)->term == batch.back()->term) {
      Take(batch);
    }
    Check();
  }

  Model model_;
  uint64_t term_ = 1;
};

TEST_F(RaftLogHistoryTest, RandomHistoriesLikeAPlainList) {
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE(seed);
    files_ = base::SimulatedFileSystem();
    files_.set_sectors_atomic(true);
    random_ = base::Random(seed);
    model_ = Model();
    term_ = 1;
    segment_bytes_ = random_.Between(2, 12) << 10;
    reserve_bytes_ = random_.Below(3) * segment_bytes_;
    Open();
    for (int step = 0; step < 150 && !HasFatalFailure(); ++step) {
      const uint64_t kind = random_.Below(20);
      if (kind < 12) {
        const std::vector<EntryRef> batch = NextBatch();
        Append(batch);
        Take(batch);
      } else if (kind < 15) {
        Release();
      } else if (kind < 17) {
        Open();
        Check();
      } else if (kind == 17) {
        LosePower();
      } else if (kind == 18) {
        ASSERT_TRUE(log_->PrepareSegment().ok());
      } else if (random_.Chance(0.2)) {
        Restart();
      }
    }
    Open();
    Check();
  }
}

// The power goes in the midst of a release or a restart: the log is the one before or the one
// after, and a hole between segments never is.
TEST_F(RaftLogHistoryTest, ThePowerGoesWhileTheFrontGoes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    files_ = base::SimulatedFileSystem();
    files_.set_sectors_atomic(true);
    random_ = base::Random(seed);
    segment_bytes_ = 1024;
    Open();
    for (uint64_t i = 1; i <= 10; ++i) Append({MakeEntry(1, i, "e")});
    const bool restart = random_.Chance(0.5);
    files_.LosePowerAfter(1 + random_.Below(8));
    try {
      if (restart) {
        log_->Restart({Term(1), Index(12)});
      } else {
        log_->Release(Index(7));
      }
    } catch (const base::PowerLoss&) {
    }
    files_.LosePower(&random_);
    Open();
    ASSERT_EQ(contents_.damage, "");
    if (contents_.base.index == Index(12)) {
      ASSERT_TRUE(restart);
      ASSERT_EQ(contents_.last_index, Index(12));
    } else {
      ASSERT_LE(contents_.base.index, Index(7));
      ASSERT_EQ(contents_.last_index, Index(10));
    }
  }
}

}  // namespace
}  // namespace store
