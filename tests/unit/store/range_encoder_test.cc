// SPDX-License-Identifier: Apache-2.0
//
// What is encoded while it is read, and what is read page by page, is what Range answers.

#include "store/range_encoder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/unit/store/machine_driver.h"

namespace store {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// Some history, partly compacted.
void Fill(MachineDriver* driver, base::Random* random) {
  for (int i = 0; i < 300; ++i) {
    const std::string key = absl::StrCat("k", random->Below(60));
    if (random->Chance(0.2)) {
      driver->Delete(key);
    } else {
      ASSERT_TRUE(driver->Put(key, std::string(random->Below(3'000), 'v')).ok());
    }
  }
  ASSERT_TRUE(driver->Compact((*driver)->revision() - 100).ok());
}

RangeRequest SomeRequest(const KvMachine& machine, base::Random* random, bool paged) {
  RangeRequest request;
  request.set_key(absl::StrCat("k", random->Below(60)));
  if (random->Chance(0.8)) request.set_range_end(absl::StrCat("k", random->Below(99)));
  if (random->Chance(0.4)) request.set_range_end(std::string(1, '\0'));
  if (random->Chance(0.5)) request.set_limit(static_cast<int64_t>(random->Below(30)));
  if (random->Chance(0.4)) {
    const int64_t at = machine.revision() - static_cast<int64_t>(random->Below(90));
    request.set_revision(std::max(at, machine.compact_revision()));
  }
  request.set_keys_only(random->Chance(0.2));
  request.set_count_only(random->Chance(0.1));
  if (paged) return request;
  if (random->Chance(0.2)) request.set_sort_order(RangeRequest::DESCEND);
  if (random->Chance(0.2)) request.set_sort_target(RangeRequest::VERSION);
  if (random->Chance(0.2)) request.set_min_mod_revision(machine.revision() - 50);
  return request;
}

TEST(RangeEncoderTest, IsWhatRangeAnswers) {
  base::Random random(11);
  MachineDriver driver;
  Fill(&driver, &random);
  for (int i = 0; i < 1'000; ++i) {
    const RangeRequest request = SomeRequest(*driver.operator->(), &random, /*paged=*/false);
    Pieces pieces;
    const auto encoded = driver->EncodeRange(
        request, MachineDriver::kTerm, [](uint64_t) { return true; }, &pieces);
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    ASSERT_TRUE(*encoded);
    std::string bytes;
    for (const std::string& piece : pieces) bytes += piece;
    RangeResponse answer;
    ASSERT_TRUE(answer.ParseFromString(bytes));
    ASSERT_EQ(answer.ShortDebugString(), driver.Range(request).ShortDebugString())
        << request.ShortDebugString();
  }
}

TEST(RangeEncoderTest, ALargeAnswerAsksForLeaveInTimeAndEndsWithoutIt) {
  MachineDriver driver;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(driver.Put(absl::StrCat("k", i), std::string(50'000, 'v')).ok());
  }
  RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  uint64_t asked = 0;
  Pieces pieces;
  ASSERT_TRUE(*driver->EncodeRange(
      request, 1,
      [&](uint64_t bytes) {
        asked = bytes;
        return true;
      },
      &pieces));
  size_t bytes = 0;
  for (const std::string& piece : pieces) {
    bytes += piece.size();
    EXPECT_LE(piece.size(), 1u << 20);
  }
  EXPECT_GT(bytes, 5'000'000u);
  EXPECT_GE(asked, bytes);
  EXPECT_LE(asked, bytes + (3 << 20));
  int asks = 0;
  pieces.clear();
  EXPECT_FALSE(*driver->EncodeRange(
      request, 1, [&](uint64_t) { return ++asks < 1; }, &pieces));
  EXPECT_EQ(asks, 1);
  ASSERT_TRUE(driver.Put("small", std::string(3'000, 'v')).ok());
  request.set_key("small");
  request.clear_range_end();
  EXPECT_TRUE(*driver->EncodeRange(
      request, 1, [](uint64_t) { return false; }, &pieces))
      << "a small one asks for no leave";
}

TEST(RangePagesTest, TogetherAreWhatRangeAnswered) {
  base::Random random(12);
  MachineDriver driver;
  Fill(&driver, &random);
  for (int i = 0; i < 300; ++i) {
    const RangeRequest request = SomeRequest(*driver.operator->(), &random, /*paged=*/true);
    RangeResponse expected = driver.Range(request);
    auto pages = driver->OpenPages(request);
    ASSERT_TRUE(pages.ok()) << pages.status();
    RangeResponse all;
    bool more = true;
    while (more) {
      // What is written meanwhile is not seen; a compaction takes nothing away.
      ASSERT_TRUE(driver.Put(absl::StrCat("k", random.Below(60)), "later").ok());
      if (random.Chance(0.1)) {
        driver.Compact(driver->revision() - 10).IgnoreError();
        driver.FinishCompaction();
      }
      RangeResponse page;
      const auto next = driver->NextPage(pages->get(), 1 + static_cast<int64_t>(random.Below(9)),
                                         1 + random.Below(9'000), &page);
      ASSERT_TRUE(next.ok()) << next.status();
      more = *next;
      EXPECT_TRUE(page.kvs_size() > 0 || !more);
      all.MergeFrom(page);
    }
    expected.clear_header();
    ASSERT_EQ(all.ShortDebugString(), expected.ShortDebugString()) << request.ShortDebugString();
  }
}

}  // namespace
}  // namespace store
