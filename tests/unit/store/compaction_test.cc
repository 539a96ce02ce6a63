// SPDX-License-Identifier: Apache-2.0
//
// What a compaction leaves behind in the families, and what readers see while it works.

#include "store/compaction.h"

#include <memory>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "store/change_writer.h"
#include "store/errors.h"
#include "store/key_space.h"
#include "store/memory_engine.h"

namespace store {
namespace {

class CompactionTest : public ::testing::Test {
 protected:
  int64_t Put(const std::string& key, const std::string& value) {
    return Write([&](ChangeWriter* writer) {
      Prior prior;
      EXPECT_TRUE(writer->ReadPrior(key, false, &prior).ok());
      EXPECT_TRUE(writer->Put(key, value, 0, prior).ok());
    });
  }

  int64_t Delete(const std::string& key) {
    return Write([&](ChangeWriter* writer) {
      Prior prior;
      EXPECT_TRUE(writer->ReadPrior(key, false, &prior).ok());
      writer->Delete(key, prior);
    });
  }

  template <typename Change>
  int64_t Write(Change change) {
    PendingWrites pending(&engine_);
    ChangeWriter writer(&pending, &numbers_);
    writer.Begin();
    change(&writer);
    writer.End();
    engine_.Write(pending.operations());
    return numbers_.revision;
  }

  void Compact(int64_t revision) {
    numbers_.compact_revision = revision;
    numbers_.compacted_at = numbers_.revision;
    compaction_.Request(revision, numbers_.revision);
  }

  void Finish() {
    while (true) {
      auto more = compaction_.Step(1);
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) return;
    }
  }

  // "-" if there is none.
  absl::StatusOr<std::string> ValueAt(const Reader& state, const std::string& key, int64_t at) {
    std::string value = "-";
    const KeySpace keys(&state, History(&engine_, compaction_.dropped_to()));
    auto found = keys.Get(key, at, [&](const Datum& datum) { value = datum.value; });
    if (!found.ok()) return found.status();
    return value;
  }

  std::string ValueAt(const std::string& key, int64_t at) {
    auto value = ValueAt(engine_, key, at);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : "";
  }

  int64_t Records(Family family) {
    int64_t count = 0;
    const auto cursor = engine_.NewCursor(family, {});
    for (cursor->Seek({}); cursor->Valid(); cursor->Next()) ++count;
    return count;
  }

  MemoryEngine engine_{std::make_shared<MemoryDisk>()};
  AppliedRecord numbers_;
  Compaction compaction_{&engine_, kNeverCompacted};
};

TEST_F(CompactionTest, KeepsWhatWasReplacedLaterAndDropsTheRest) {
  Put("a", "a2");  // 2
  Put("a", "a3");  // 3
  Put("b", "b4");  // 4
  Delete("b");     // 5
  Put("a", "a6");  // 6
  Compact(5);
  Put("c", "c7");  // 7
  Finish();
  EXPECT_EQ(compaction_.dropped_to()->load(), 5);
  EXPECT_EQ(ValueAt("a", 5), "a3");
  EXPECT_EQ(ValueAt("b", 5), "-");
  EXPECT_EQ(ValueAt("a", 6), "a6");
  EXPECT_EQ(Records(Family::kRevision), 3) << "5 for watchers that start there, 6 and 7";
  EXPECT_EQ(Records(Family::kKept), 1);
  EXPECT_EQ(Records(Family::kDeleted), 0);
}

TEST_F(CompactionTest, AWriteAfterItKeepsWhatItReplaces) {
  Put("a", "a2");
  Compact(2);
  Finish();
  Put("a", "a3");
  EXPECT_EQ(Records(Family::kKept), 1);
  EXPECT_EQ(ValueAt("a", 2), "a2");
  Compact(3);
  Finish();
  EXPECT_EQ(Records(Family::kKept), 0) << "nobody reads below 3 any more";
}

TEST_F(CompactionTest, EveryRevisionReadsTheSameAtEachStep) {
  for (int i = 2; i <= 20; ++i) Put("a", "a" + std::to_string(i));
  Compact(10);
  for (int i = 21; i <= 25; ++i) Put("a", "a" + std::to_string(i));
  for (bool more = true; more;) {
    for (int at = 10; at <= 25; ++at) EXPECT_EQ(ValueAt("a", at), "a" + std::to_string(at));
    auto stepped = compaction_.Step(3);
    ASSERT_TRUE(stepped.ok());
    more = *stepped;
  }
}

TEST_F(CompactionTest, AViewOlderThanTheCopiesReadsOn) {
  Put("a", "a2");
  Put("a", "a3");
  Put("a", "a4");
  const auto view = engine_.NewView();
  Compact(3);
  Finish();
  Put("a", "a5");
  EXPECT_EQ(*ValueAt(*view, "a", 4), "a4");
  EXPECT_EQ(*ValueAt(*view, "a", 3), "a3") << "the copy is not in the view, nor is the original";
  EXPECT_EQ(ErrorOf(ValueAt(*view, "a", 2).status()), Error::kCompacted) << "gone under the reader";
}

TEST_F(CompactionTest, ATombstoneThatGoesUnderAReaderIsNoAbsence) {
  Put("a", "a2");
  Delete("a");  // 3
  Put("b", "b4");
  const auto view = engine_.NewView();
  EXPECT_EQ(*ValueAt(*view, "a", 2), "a2");
  Compact(4);
  Finish();
  EXPECT_EQ(ErrorOf(ValueAt(*view, "a", 2).status()), Error::kCompacted);
  const KeySpace keys(view.get(), History(&engine_, compaction_.dropped_to()));
  EXPECT_EQ(ErrorOf(keys.Count(KeyRangeOf("a", "c"), 2).status()), Error::kCompacted);
  EXPECT_EQ(*ValueAt(*view, "a", 4), "-");
}

TEST_F(CompactionTest, ACompactionMayFollowBeforeTheFirstIsDone) {
  for (int i = 2; i <= 12; ++i) Put(i % 2 == 0 ? "a" : "b", std::to_string(i));
  Compact(4);
  ASSERT_TRUE(compaction_.Step(2).ok());
  Put("a", "13");
  Compact(9);
  Put("b", "14");
  Finish();
  EXPECT_EQ(compaction_.dropped_to()->load(), 9);
  EXPECT_EQ(ValueAt("a", 9), "8");
  EXPECT_EQ(ValueAt("b", 9), "9");
  EXPECT_EQ(ValueAt("b", 13), "11");
}

TEST_F(CompactionTest, AMissingVersionIsDataLossNotSilence) {
  Put("a", "a2");
  Put("a", "a3");
  engine_.DropKeysBelow(Family::kRevision, RevisionKey({3, 0}));
  EXPECT_EQ(ValueAt(engine_, "a", 2).status().code(), absl::StatusCode::kDataLoss);
  Compact(2);
  absl::StatusOr<bool> more = compaction_.Step(10);
  EXPECT_EQ(more.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(compaction_.dropped_to()->load(), kNeverCompacted) << "and nothing is dropped";
}

}  // namespace
}  // namespace store
