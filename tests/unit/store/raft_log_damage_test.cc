// SPDX-License-Identifier: Apache-2.0
//
// A write that a crash left unfinished is cut in silence; any other wrong byte is damage: noted
// by the caller before anything is cut, kept aside, named with file and offset.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "store/raft_log_format.h"
#include "tests/unit/store/raft_log_fixture.h"

namespace store {
namespace {

using raft::Index;
using raft::LogPosition;
using raft::Term;

class RaftLogDamageTest : public RaftLogTest {
 protected:
  RaftLogDamageTest() { accept_damage_ = true; }

  void AppendNumbered(uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; ++i) Append({MakeEntry(1, i, "e" + std::to_string(i))});
  }
  // The damage is reported, the log ends at `last`, goes on there, and is whole the next time.
  void ExpectCutAt(uint64_t last, const std::string& place) {
    Open();
    EXPECT_NE(contents_.damage.find(place), std::string::npos) << contents_.damage;
    EXPECT_EQ(damage_noted_, contents_.damage);
    EXPECT_EQ(contents_.last_index, Index(last));
    EXPECT_EQ(contents_.torn_bytes, 0u);
    Append({MakeEntry(9, last + 1, "after")});
    Open();
    EXPECT_EQ(contents_.damage, "");
    EXPECT_EQ(contents_.last_index, Index(last + 1));
    EXPECT_EQ(ReadAll(last + 1), "9/" + std::to_string(last + 1) + "=after ");
  }
};

TEST_F(RaftLogDamageTest, AFlippedByteInTheMiddle) {
  Open();
  AppendNumbered(1, 5);
  files_.Corrupt(FirstSegment(), 2 * 512 + 45, "!");
  ExpectCutAt(1, FirstSegment() + ": offset 1024: batch 2 is damaged");
  EXPECT_NE(Names().find("damaged-1"), std::string::npos) << Names();
}

TEST_F(RaftLogDamageTest, AFlippedByteInTheLastBatch) {
  Open();
  AppendNumbered(1, 3);
  files_.Corrupt(FirstSegment(), 3 * 512 + 84, "!");
  ExpectCutAt(2, ": offset 1536: batch 3 is damaged: no sector of it is missing");
}

TEST_F(RaftLogDamageTest, AFlippedByteInTheLastBatchsHeader) {
  Open();
  AppendNumbered(1, 3);
  files_.Corrupt(FirstSegment(), 3 * 512 + 9, "!");
  ExpectCutAt(2, ": offset 1536: batch 3 is damaged");
}

TEST_F(RaftLogDamageTest, AZeroedSectorBeforeTheLastBatch) {
  Open();
  AppendNumbered(1, 3);
  files_.Corrupt(FirstSegment(), 2 * 512, std::string(512, '\0'));
  ExpectCutAt(1, ": offset 1024: batch 2 is damaged: batch 3 follows it");
}

// A sector that never arrived and one that was lost later look alike: of the last batch that is
// taken for an unfinished write.
TEST_F(RaftLogDamageTest, AMissingSectorOfTheLastBatchIsAnUnfinishedWrite) {
  Open();
  AppendNumbered(1, 2);
  Append({MakeEntry(1, 3, std::string(5000, 'x'))});
  files_.Corrupt(FirstSegment(), 3 * 512 + 1024, std::string(512, '\0'));
  Open();
  EXPECT_EQ(contents_.damage, "");
  EXPECT_GT(contents_.torn_bytes, 0u);
  EXPECT_EQ(contents_.last_index, Index(2));
}

// Zeros that belong to the value do not make a wrong byte beside them an unfinished write.
TEST_F(RaftLogDamageTest, ZeroSectorsByNatureDoNotExcuseAFlip) {
  Open();
  AppendNumbered(1, 2);
  Append({MakeEntry(1, 3, std::string(5000, '\0') + "end")});
  Open();
  ASSERT_EQ(contents_.last_index, Index(3));
  files_.Corrupt(FirstSegment(), 3 * 512 + 2048, "!");
  ExpectCutAt(2, "batch 3 is damaged");
}

TEST_F(RaftLogDamageTest, ABitBehindTheEndIsNothing) {
  Open();
  AppendNumbered(1, 2);
  files_.Corrupt(FirstSegment(), 20'000, "\x01");
  Open();
  EXPECT_EQ(contents_.damage, "");
  EXPECT_EQ(contents_.last_index, Index(2));
}

TEST_F(RaftLogDamageTest, TheEndOfAnOlderSegment) {
  segment_bytes_ = 2048;
  Open();
  AppendNumbered(1, 8);
  files_.Corrupt(FirstSegment(), 3 * 512 + 50, "!");
  ExpectCutAt(2, FirstSegment() + ": offset 1536: batches 3 to 3 are damaged or gone");
  EXPECT_NE(Names().find("damaged-3"), std::string::npos) << Names();
}

TEST_F(RaftLogDamageTest, AMissingSegment) {
  segment_bytes_ = 1024;
  Open();
  AppendNumbered(1, 6);
  ASSERT_TRUE(files_.Remove("log/0000000000000003.log").ok());
  ExpectCutAt(2, "a segment before this one is missing");
}

TEST_F(RaftLogDamageTest, AWrongHeaderInTheMiddle) {
  segment_bytes_ = 1024;
  Open();
  AppendNumbered(1, 6);
  files_.Corrupt("log/0000000000000004.log", 20, "!");
  ExpectCutAt(3, "log/0000000000000004.log: offset 0: the segment's header is wrong");
}

TEST_F(RaftLogDamageTest, AWrongHeaderOfTheFirstSegmentLeavesNothing) {
  segment_bytes_ = 1024;
  Open();
  AppendNumbered(1, 3);
  files_.Corrupt(FirstSegment(), 20, "!");
  Open();
  EXPECT_NE(contents_.damage, "");
  EXPECT_EQ(contents_.last_index, Index(0));
  // The state holds up to 2: the log goes on there.
  log_->Restart({Term(1), Index(2)});
  Append({MakeEntry(2, 3, "c")});
  Open();
  EXPECT_EQ(contents_.base, (LogPosition{Term(1), Index(2)}));
  EXPECT_EQ(ReadAll(3), "2/3=c ");
}

TEST_F(RaftLogDamageTest, ALostLog) {
  must_exist_ = true;
  Open();
  EXPECT_NE(contents_.damage.find("the log that was here is gone"), std::string::npos);
  EXPECT_EQ(contents_.last_index, Index(0));
  Open();
  EXPECT_EQ(contents_.damage, "");
}

TEST_F(RaftLogDamageTest, ACutFileInTheMiddle) {
  segment_bytes_ = 4096;
  Open();
  AppendNumbered(1, 12);
  // What a file that was cut and grown again holds.
  files_.Corrupt(FirstSegment(), 1024, std::string(4096 - 1024, '\0'));
  ExpectCutAt(1, FirstSegment() + ": offset 1024: batches 2 to");
}

TEST_F(RaftLogDamageTest, ASectorThatTheDiskDoesNotGiveBack) {
  Open();
  AppendNumbered(1, 3);
  files_.set_on_operation([](base::DiskOperation operation, const std::string&) {
    return operation == base::DiskOperation::kRead ? absl::UnavailableError("EIO")
                                                   : absl::OkStatus();
  });
  EXPECT_NE(log_->Read(Index(1), 100).status().message().find("EIO"), std::string::npos);
  Open();
  EXPECT_NE(contents_.damage, "");
  files_.set_on_operation(nullptr);
}

TEST_F(RaftLogDamageTest, AShortReadIsReadAgainInPieces) {
  Open();
  AppendNumbered(1, 40);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    bool shortened = false;
    files_.set_on_operation([&](base::DiskOperation operation, const std::string&) {
      files_.set_faults({.short_read = shortened ? 0.0 : 1.0}, seed);
      shortened = shortened || operation == base::DiskOperation::kRead;
      return absl::OkStatus();
    });
    Open();
    EXPECT_EQ(contents_.damage, "");
    EXPECT_EQ(contents_.last_index, Index(40));
  }
}

// The doubt must be durable before anything is cut: if it cannot be noted, nothing is changed.
TEST_F(RaftLogDamageTest, NothingIsCutBeforeItIsNoted) {
  Open();
  AppendNumbered(1, 5);
  files_.Corrupt(FirstSegment(), 2 * 512 + 45, "!");
  damage_answer_ = absl::UnavailableError("meta/ is full");
  const std::string names = Names();
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Names(), names);
  damage_answer_ = absl::OkStatus();
  ExpectCutAt(1, "batch 2 is damaged");
}

TEST_F(RaftLogDamageTest, OldDamagedFilesAreNotKeptForEver) {
  Open();
  for (uint64_t i = 1; i <= 40; ++i) {
    Append({MakeEntry(1, 1, "one")});
    files_.Corrupt(FirstSegment(), 512 + 50, "!");
    Open();
    ASSERT_NE(contents_.damage, "");
  }
  const std::vector<std::string> names = files_.List("log").value();
  EXPECT_LE(names.size(), 18u) << Names();
  EXPECT_NE(Names().find("damaged-40"), std::string::npos) << Names();
}

// Damage, and the power goes while it is mended: the next start finds damage or a whole log, and
// what stood before the damage is always there.
TEST_F(RaftLogDamageTest, ThePowerGoesWhileItIsMended) {
  segment_bytes_ = 2048;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    files_ = base::SimulatedFileSystem();
    files_.set_sectors_atomic(true);
    base::Random random(seed);
    Open();
    AppendNumbered(1, 12);
    files_.Corrupt("log/0000000000000002.log", 2 * 512 + 50, "!");
    files_.LosePowerAfter(1 + random.Below(12));
    try {
      ASSERT_TRUE(TryOpen().ok());
    } catch (const base::PowerLoss&) {
    }
    files_.LosePower(&random);
    Open();
    ASSERT_EQ(contents_.last_index, Index(4)) << "seed " << seed;
    EXPECT_EQ(ReadAll(4), "1/4=e4 ");
    Append({MakeEntry(2, 5, "new")});
    Open();
    EXPECT_EQ(contents_.last_index, Index(5)) << "seed " << seed;
    EXPECT_EQ(contents_.damage, "");
  }
}

// Random bits turn over: whatever is read is what was written, and damage is never overlooked.
TEST_F(RaftLogDamageTest, BitsTurnOver) {
  segment_bytes_ = 8192;
  int damaged = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    files_ = base::SimulatedFileSystem();
    base::Random random(seed);
    Open();
    AppendNumbered(1, 60);
    const auto flips = files_.FlipBits("log", 0.01, &random);
    Open();
    if (contents_.last_index < Index(60)) {
      ++damaged;
      EXPECT_NE(contents_.damage, "");
      EXPECT_FALSE(flips.empty());
    }
    std::string expected;
    for (uint64_t i = 1; i <= contents_.last_index.value(); ++i) {
      expected += "1/" + std::to_string(i) + "=e" + std::to_string(i) + " ";
    }
    if (expected.empty()) continue;
    EXPECT_EQ(ReadAll(1), expected);
  }
  EXPECT_GT(damaged, 20);
}

}  // namespace
}  // namespace store
