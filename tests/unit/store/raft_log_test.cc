// SPDX-License-Identifier: Apache-2.0

#include "store/raft_log.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "store/raft_log_format.h"
#include "tests/unit/store/raft_log_fixture.h"

namespace store {
namespace {

using raft::EntryRef;
using raft::Index;
using raft::LogPosition;
using raft::Term;

TEST_F(RaftLogTest, KeepsWhatWasSyncedAcrossAPowerLoss) {
  Open();
  Append({MakeEntry(1, 1, "a"), MakeEntry(1, 2, "b")});
  Append({MakeEntry(3, 3, "c")});
  files_.LosePower(&random_);
  Open(1);
  EXPECT_EQ(contents_.last_index, Index(3));
  EXPECT_EQ(contents_.term_runs,
            (std::vector<LogPosition>{{Term(1), Index(1)}, {Term(3), Index(3)}}));
  ASSERT_EQ(contents_.tail.size(), 2u);
  EXPECT_EQ(contents_.tail[0]->command, "b");
  EXPECT_EQ(contents_.tail[0]->publish_id, raft::PublishId(20));
  EXPECT_EQ(contents_.tail[0]->origin, raft::NodeId(7));
  EXPECT_EQ(ReadAll(1), "1/1=a 1/2=b 3/3=c ");
}

TEST_F(RaftLogTest, CutsWhatWasNotSynced) {
  for (uint64_t seed = 1; seed < 60; ++seed) {
    files_ = base::SimulatedFileSystem();
    files_.set_sectors_atomic(true);
    base::Random random(seed);
    Open();
    Append({MakeEntry(1, 1, "kept")});
    log_->Append(std::vector<EntryRef>{MakeEntry(1, 2, std::string(5000, 'x'))});
    files_.LosePower(&random);
    Open();
    ASSERT_LE(contents_.last_index, Index(2));
    ASSERT_GE(contents_.last_index, Index(1));
    const uint64_t next = contents_.last_index.value() + 1;
    Append({MakeEntry(2, next, "after")});
    Open();
    EXPECT_EQ(contents_.last_index, Index(next)) << "seed " << seed;
  }
}

TEST_F(RaftLogTest, AnEntryAtATakenIndexCutsTheLogThere) {
  Open();
  Append({MakeEntry(1, 1, "a"), MakeEntry(1, 2, "b"), MakeEntry(1, 3, "c")});
  Append({MakeEntry(2, 2, "B")});
  EXPECT_EQ(ReadAll(1), "1/1=a 2/2=B ");
  Open();
  EXPECT_EQ(contents_.last_index, Index(2));
  EXPECT_EQ(contents_.term_runs,
            (std::vector<LogPosition>{{Term(1), Index(1)}, {Term(2), Index(2)}}));
  EXPECT_EQ(ReadAll(1), "1/1=a 2/2=B ");
}

TEST_F(RaftLogTest, ReadsAcrossOverwritesAndSegments) {
  segment_bytes_ = 8 << 10;
  Open();
  std::vector<EntryRef> model;
  base::Random random(3);
  for (int i = 0; i < 400; ++i) {
    if (random.Chance(0.1)) {
      ASSERT_TRUE(log_->PrepareSegment().ok());
    }
    // Now and then a new leader replaces the last few entries.
    const size_t cut = random.Chance(0.1) ? random.Below(5) : 0;
    model.resize(model.size() - std::min(cut, model.size()));
    const uint64_t term = 1 + static_cast<uint64_t>(i) / 3;
    std::vector<EntryRef> batch;
    for (uint64_t n = random.Between(1, 5); n > 0; --n) {
      batch.push_back(MakeEntry(term, model.size() + 1, std::string(random.Below(900), 'v')));
      model.push_back(batch.back());
    }
    Append(batch);
  }
  for (int pass = 0; pass < 2; ++pass) {
    for (int i = 0; i < 100; ++i) {
      const uint64_t from = random.Between(1, model.size());
      auto entries = log_->Read(Index(from), random.Below(4000));
      ASSERT_TRUE(entries.ok()) << entries.status();
      ASSERT_FALSE(entries->empty());
      for (size_t k = 0; k < entries->size(); ++k) {
        ASSERT_EQ((*entries)[k]->position(), model[from - 1 + k]->position());
        ASSERT_EQ((*entries)[k]->command, model[from - 1 + k]->command);
      }
    }
    Open();
    ASSERT_EQ(contents_.last_index.value(), model.size());
  }
  EXPECT_EQ(log_->Read(Index(model.size() + 1), 1).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(RaftLogTest, RefusesAWrongByteInTheMiddleAndNamesThePlace) {
  Open();
  Append({MakeEntry(1, 1, "first")});
  Append({MakeEntry(1, 2, "second")});
  Append({MakeEntry(1, 3, "third")});
  // Sector 0 is the header, 1 the first batch; a byte of the second batch changes.
  files_.Corrupt(FirstSegment(), 2 * 512 + 40, "!");
  const absl::Status status = TryOpen();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(FirstSegment() + ": offset 1024"), std::string::npos) << status;
}

TEST_F(RaftLogTest, RefusesADamagedEndOfAnOlderSegment) {
  segment_bytes_ = 2048;
  Open();
  for (uint64_t i = 1; i <= 8; ++i) Append({MakeEntry(1, i, "entry")});
  // The last batch of the first segment: nothing follows it there, but another segment does.
  files_.Corrupt(FirstSegment(), 3 * 512 + 30, "!");
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RaftLogTest, RefusesAMissingSegment) {
  segment_bytes_ = 1024;
  Open();
  for (uint64_t i = 1; i <= 6; ++i) Append({MakeEntry(1, i, "entry")});
  ASSERT_TRUE(files_.Remove("log/0000000000000003.log").ok());
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RaftLogTest, ReadTellsDamageFromBytes) {
  Open();
  Append({MakeEntry(1, 1, "first")});
  files_.Corrupt(FirstSegment(), 512 + 60, "!");
  EXPECT_EQ(log_->Read(Index(1), 100).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RaftLogTest, AHeaderThatWasNeverFinishedIsThrownAway) {
  Open();
  Append({MakeEntry(1, 1, "a")});
  auto file = files_.Open("log/0000000000000002.log", true);
  ASSERT_TRUE((*file)->WriteAt(0, std::string(2048, '\0')).ok());
  Open();
  EXPECT_EQ(contents_.last_index, Index(1));
  Append({MakeEntry(1, 2, "b")});
  EXPECT_EQ(ReadAll(1), "1/1=a 1/2=b ");
}

TEST_F(RaftLogTest, BytesThatAClientMadeAreNoBatch) {
  Open();
  // A value that holds a whole batch, laid so that it begins on a sector.
  const EntryRef inner = MakeEntry(9, 9, "inner");
  const std::string forged =
      raft_log_format::EncodeBatch(12345, 99, Term(0), std::vector<EntryRef>{inner});
  std::string value(512 - raft_log_format::kBatchHeaderBytes - raft_log_format::kRecordHeaderBytes,
                    'p');
  value += forged;
  log_->Append(std::vector<EntryRef>{MakeEntry(1, 1, value)});
  log_->Sync();
  accept_damage_ = true;
  files_.Corrupt(FirstSegment(), 512, "!");
  Open();
  EXPECT_EQ(contents_.last_index, Index(0));
  EXPECT_NE(contents_.damage, "");
}

TEST_F(RaftLogTest, BeginsAnewBehindABase) {
  Open();
  Append({MakeEntry(1, 1, "a"), MakeEntry(1, 2, "b")});
  log_->Restart({Term(3), Index(10)});
  Append({MakeEntry(4, 11, "k")});
  Open();
  EXPECT_EQ(contents_.base, (LogPosition{Term(3), Index(10)}));
  EXPECT_EQ(contents_.last_index, Index(11));
  EXPECT_EQ(ReadAll(11), "4/11=k ");
}

// The last segment was never finished when the power went: the one before it is the last, and
// damage in it is found as in any.
TEST_F(RaftLogTest, DamageBeforeAnUnfinishedSegmentIsRefused) {
  Open();
  for (uint64_t i = 1; i <= 6; ++i) Append({MakeEntry(1, i, "entry")});
  auto file = files_.Open("log/0000000000000002.log", true);
  ASSERT_TRUE((*file)->WriteAt(0, std::string(2048, '\0')).ok());
  files_.Corrupt(FirstSegment(), 3 * 512 + 40, "!");
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RaftLogTest, ALostLogIsNotANewOne) {
  must_exist_ = true;
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
  // Nor is it one the next time.
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

// Once each batch over 64 KiB cost the reading of the whole rest of its segment.
TEST_F(RaftLogTest, ReadsNoMoreThanTheBatchItWants) {
  segment_bytes_ = 16 << 20;
  Open();
  for (uint64_t i = 1; i <= 100; ++i) {
    Append({MakeEntry(1, i, std::string(100'000, static_cast<char>('a' + i % 26)))});
  }
  files_.ResetBytesRead();
  const auto entries = log_->Read(Index(1), 10 << 20);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 100u);
  EXPECT_EQ(entries->at(41)->command, std::string(100'000, static_cast<char>('a' + 42 % 26)));
  EXPECT_LT(files_.bytes_read(), 11u << 20);
}

TEST_F(RaftLogTest, NamesTheConfigurationsInIt) {
  const auto configuration = [](uint64_t term, uint64_t index, uint64_t voter) {
    auto entry = std::make_shared<raft::Entry>(*MakeEntry(term, index, ""));
    entry->kind = raft::EntryKind::kConfiguration;
    entry->command =
        raft::EncodeConfigurationCommand(raft::Configuration({raft::NodeId(voter)}), "payload");
    return entry;
  };
  Open();
  Append({configuration(1, 1, 1), MakeEntry(1, 2, "a"), configuration(1, 3, 3)});
  Append({MakeEntry(1, 4, "b"), configuration(1, 5, 5)});
  Append({MakeEntry(2, 4, "B")});
  Open(4);
  ASSERT_EQ(contents_.configurations.size(), 2u) << "the one at 5 was replaced";
  EXPECT_EQ(contents_.configurations[0].first, Index(1));
  EXPECT_EQ(contents_.configurations[1].first, Index(3));
  EXPECT_EQ(contents_.configurations[1].second, raft::Configuration({raft::NodeId(3)}));
}

TEST_F(RaftLogTest, OneSyncABatch) {
  Open();
  Append({MakeEntry(1, 1, "a")});
  const uint64_t before = files_.sync_count();
  std::vector<EntryRef> batch;
  for (uint64_t i = 2; i < 102; ++i) batch.push_back(MakeEntry(1, i, "b"));
  Append(batch);
  EXPECT_EQ(files_.sync_count(), before + 1);
}

TEST_F(RaftLogTest, ABatchLargerThanASegmentFits) {
  segment_bytes_ = 2048;
  Open();
  Append({MakeEntry(1, 1, std::string(100'000, 'x'))});
  Append({MakeEntry(1, 2, "small")});
  Open();
  EXPECT_EQ(contents_.last_index, Index(2));
  EXPECT_EQ(log_->Read(Index(1), 1)->at(0)->command.size(), 100'000u);
}

}  // namespace
}  // namespace store
