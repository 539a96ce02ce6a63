// SPDX-License-Identifier: Apache-2.0

#include "store/watch_hub.h"

#include "gtest/gtest.h"
#include "tests/unit/store/watch_fixture.h"

namespace store {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;

std::string Shown(const std::vector<WatchResponse>& responses) {
  std::string all;
  for (const WatchResponse& response : responses) {
    if (!all.empty()) all += " | ";
    all += std::to_string(response.watch_id());
    if (response.created()) all += " created";
    if (response.canceled()) all += " canceled";
    if (!response.cancel_reason().empty()) all += ": " + response.cancel_reason();
    if (response.compact_revision() != 0) {
      all += " compacted " + std::to_string(response.compact_revision());
    }
    for (const auto& event : response.events()) {
      all += event.type() == mvccpb::Event::PUT ? " +" : " -";
      all += event.kv().key() + std::to_string(event.kv().mod_revision());
      if (event.has_prev_kv()) all += "(" + event.prev_kv().value() + ")";
    }
    if (response.fragment()) all += " ...";
    all += " @" + std::to_string(response.header().revision());
  }
  return all;
}

TEST(WatchHubTest, CreatedComesFirstAndWhatIsAppliedAfterIt) {
  WatchFixture fixture;
  ASSERT_TRUE(fixture.driver.Put("a", "old").ok());
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a"));
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  ASSERT_TRUE(fixture.driver.Put("b", "2").ok());
  fixture.driver.Delete("a");
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 created @2 | 0 +a3 -a5 @5");
}

TEST(WatchHubTest, AWriteThatWasAnsweredBeforeIsNotSent) {
  WatchFixture fixture;
  const auto first = fixture.Open();
  fixture.Ask(first, WatchFixture::Key("a"));
  fixture.Settle();
  // On its way to the watch thread when the second watcher comes.
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  const auto second = fixture.Open();
  fixture.Ask(second, WatchFixture::Key("a"));
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "2").ok());
  EXPECT_EQ(Shown(fixture.ReadAll(second)), "0 created @2 | 0 +a3 @3");
  EXPECT_EQ(Shown(fixture.ReadAll(first)), "0 created @1 | 0 +a2 @2 | 0 +a3 @3");
}

TEST(WatchHubTest, FromThePastAndFromTheFuture) {
  WatchFixture fixture;
  for (const char* value : {"1", "2", "3"}) ASSERT_TRUE(fixture.driver.Put("a", value).ok());
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a", 3));
  fixture.Ask(stream, WatchFixture::Key("a", 6));
  fixture.Settle();
  for (const char* value : {"4", "5"}) ASSERT_TRUE(fixture.driver.Put("a", value).ok());
  EXPECT_EQ(Shown(fixture.ReadAll(stream)),
            "0 created @4 | 1 created @4 | 0 +a3 +a4 @4 | 0 +a5 +a6 @6 | 1 +a6 @6");
}

TEST(WatchHubTest, PreviousDatumsAndFilters) {
  WatchFixture fixture;
  const auto stream = fixture.Open();
  WatchCreateRequest request = WatchFixture::Everything();
  request.set_prev_kv(true);
  fixture.Ask(stream, request);
  request.add_filters(WatchCreateRequest::NOPUT);
  fixture.Ask(stream, request);
  request.clear_filters();
  request.add_filters(WatchCreateRequest::NODELETE);
  request.set_prev_kv(false);
  fixture.Ask(stream, request);
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "x").ok());
  ASSERT_TRUE(fixture.driver.Put("a", "y").ok());
  fixture.driver.Delete("a");
  const std::string created = "0 created @1 | 1 created @1 | 2 created @1 | ";
  EXPECT_EQ(Shown(fixture.ReadAll(stream)),
            created + "0 +a2 +a3(x) -a4(y) @4 | 2 +a2 +a3 @3 | 1 -a4(y) @4");
}

TEST(WatchHubTest, PreviousDatumIsAbsentOnceCompacted) {
  WatchFixture fixture;
  ASSERT_TRUE(fixture.driver.Put("a", "x").ok());
  ASSERT_TRUE(fixture.driver.Put("a", "y").ok());
  ASSERT_TRUE(fixture.driver.Put("a", "z").ok());
  ASSERT_TRUE(fixture.driver.Compact(3).ok());
  const auto stream = fixture.Open();
  WatchCreateRequest request = WatchFixture::Key("a", 3);
  request.set_prev_kv(true);
  fixture.Ask(stream, request);
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 created @4 | 0 +a3 +a4(y) @4");
  fixture.driver.FinishCompaction();
  fixture.Ask(stream, request);
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "1 created @4 | 1 +a3 +a4(y) @4");
}

TEST(WatchHubTest, CompactedStartIsCreatedAndThenCancelled) {
  WatchFixture fixture;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(fixture.driver.Put("a", "x").ok());
  ASSERT_TRUE(fixture.driver.Compact(4).ok());
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a", 3));
  fixture.Ask(stream, WatchFixture::Key("a", 4));
  EXPECT_EQ(Shown(fixture.ReadAll(stream)),
            "0 created @6 | 1 created @6 | 0 canceled compacted 4 @0 | 1 +a4 +a5 +a6 @6");
  EXPECT_EQ(fixture.hub->watchers(), 1u);
}

TEST(WatchHubTest, WhatCannotBeWatchedIsRefusedInEtcdsWords) {
  WatchHubOptions options;
  options.watchers_max = 2;
  WatchFixture fixture(options);
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a", -1));
  WatchCreateRequest backwards = WatchFixture::Key("b");
  backwards.set_range_end("a");
  fixture.Ask(stream, backwards);
  WatchCreateRequest named = WatchFixture::Key("a");
  named.set_watch_id(7);
  fixture.Ask(stream, named);
  fixture.Ask(stream, named);
  named.set_watch_id(-1);
  fixture.Ask(stream, named);
  fixture.Ask(stream, WatchFixture::Key("a"));
  EXPECT_EQ(Shown(fixture.ReadAll(stream)),
            "-1 created canceled: etcdserver: mvcc: required revision has been compacted @1 | "
            "-1 created canceled: mvcc: watcher range is empty @1 | "
            "7 created @1 | "
            "-1 created canceled: mvcc: duplicate watch ID provided on the WatchStream @1 | "
            "-1 created @1 | "
            "-1 created canceled: datum: this member has 2 watchers, which is as many as it takes "
            "(--max-watchers) @1");
}

TEST(WatchHubTest, CancelIsAnsweredAndAnUnknownIdIgnored) {
  WatchFixture fixture;
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a"));
  fixture.AskCancel(stream, 5);
  fixture.AskCancel(stream, 0);
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 created @1 | 0 canceled @1");
  EXPECT_EQ(fixture.hub->watchers(), 0u);
}

TEST(WatchHubTest, ProgressIsToldOnlyForAllAndBehindTheEvents) {
  WatchFixture fixture;
  const auto stream = fixture.Open();
  fixture.AskProgress(stream);
  fixture.Ask(stream, WatchFixture::Key("a"));
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  fixture.AskProgress(stream);
  fixture.Settle();
  fixture.Ask(stream, WatchFixture::Key("a", 9));
  fixture.AskProgress(stream);
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 created @1 | 0 +a2 @2 | -1 @2 | 1 created @2");
}

TEST(WatchHubTest, ProgressIsNotifiedWhereNothingWasHeard) {
  WatchFixture fixture;
  const auto stream = fixture.Open();
  WatchCreateRequest request = WatchFixture::Key("a");
  request.set_progress_notify(true);
  fixture.Ask(stream, request);
  request.set_key("b");
  fixture.Ask(stream, request);
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  fixture.Settle();
  EXPECT_LE(fixture.hub->next_due(), fixture.now + std::chrono::minutes(11));
  fixture.now = fixture.hub->next_due();
  const std::string before = "0 created @1 | 1 created @1 | 0 +a2 @2 | ";
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), before + "1 @2");
  fixture.now = fixture.hub->next_due();
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 @2 | 1 @2");
}

TEST(WatchHubTest, ARevisionComesWholeUnlessPiecesAreTaken) {
  WatchHubOptions options;
  options.response_bytes = 60;
  WatchFixture fixture(options);
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Everything());
  WatchCreateRequest pieces = WatchFixture::Everything();
  pieces.set_fragment(true);
  fixture.Ask(stream, pieces);
  fixture.Settle();
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(fixture.driver.Put(key, std::string(30, 'v')).ok());
  }
  fixture.ReadAll(stream);
  fixture.driver.Delete("", std::string(1, '\0'));
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) {
    ASSERT_TRUE(fixture.driver.Put(key, std::string(10, 'v')).ok());
  }
  fixture.Settle();
  fixture.driver.Delete("a", "h");
  EXPECT_EQ(Shown(fixture.ReadAll(stream)),
            "0 -a6 -b6 -c6 -d6 +a7 @7 | 0 +b8 +c9 +d10 @10 | 0 +e11 +f12 +g13 @13 | "
            "1 -a6 -b6 -c6 -d6 @6 | 1 +a7 +b8 @8 | 1 +c9 +d10 @10 | 1 +e11 +f12 @12 | 1 +g13 @13 | "
            "0 -a14 -b14 -c14 -d14 -e14 -f14 -g14 @14 | "
            "1 -a14 -b14 -c14 -d14 -e14 ... @14 | 1 -f14 -g14 @14");
}

TEST(WatchHubTest, AClientThatDoesNotReadCatchesUpLaterAndHoldsNobodyUp) {
  WatchHubOptions options;
  options.stream_bytes_max = 500;
  WatchFixture fixture(options);
  const auto slow = fixture.Open();
  const auto quick = fixture.Open();
  fixture.Ask(slow, WatchFixture::Key("a"));
  fixture.Ask(quick, WatchFixture::Key("a"));
  fixture.Settle();
  size_t heard = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(fixture.driver.Put("a", std::string(50, 'v')).ok());
    fixture.Settle();
    EXPECT_LE(fixture.sink(slow).queued(), 700u);
    for (const auto& response : fixture.ReadAll(quick)) heard += response.events_size();
  }
  EXPECT_EQ(heard, 100u);
  size_t heard_late = 0;
  int64_t last = 1;
  for (const auto& response : fixture.ReadAll(slow)) {
    for (const auto& event : response.events()) {
      EXPECT_EQ(event.kv().mod_revision(), ++last);
      ++heard_late;
    }
  }
  EXPECT_EQ(heard_late, 100u);
}

TEST(WatchHubTest, ManyWatchersOfOneStreamShareItsBound) {
  WatchHubOptions options;
  options.stream_bytes_max = 5'000;
  WatchFixture fixture(options);
  const auto stream = fixture.Open();
  constexpr int kWatchers = 100;
  for (int i = 0; i < kWatchers; ++i) fixture.Ask(stream, WatchFixture::Everything());
  fixture.ReadAll(stream);
  constexpr int kChanges = 20;
  std::vector<int64_t> last(kWatchers, 1);
  for (int i = 0; i < kChanges; ++i) {
    ASSERT_TRUE(fixture.driver.Put("a", std::string(50, 'v')).ok());
    fixture.Settle();
    // What it takes to go beyond the bound, and one response, of up to all the changes.
    EXPECT_LE(fixture.sink(stream).queued(), 5'000u + kChanges * 100u);
  }
  for (const auto& response : fixture.ReadAll(stream)) {
    int64_t& heard = last[static_cast<size_t>(response.watch_id())];
    for (const auto& event : response.events()) EXPECT_EQ(event.kv().mod_revision(), ++heard);
  }
  EXPECT_EQ(last, std::vector<int64_t>(kWatchers, 1 + kChanges));
  // All of them are synced again.
  fixture.AskProgress(stream);
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "-1 @21");
}

TEST(WatchHubTest, WhatHasPiledUpGoesOutInRoundsOfBoundedSize) {
  WatchHubOptions options;
  options.stream_bytes_max = 500;
  options.part_bytes = 1'000;
  WatchFixture fixture(options);
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Key("a"));
  fixture.ReadAll(stream);
  constexpr int kChanges = 300;
  for (int i = 0; i < kChanges; ++i) {
    ASSERT_TRUE(fixture.driver.Put("a", std::string(50, 'v')).ok());
  }
  fixture.Settle();
  EXPECT_LE(fixture.sink(stream).queued(), 2'500u);
  int64_t last = 1;
  for (const auto& response : fixture.ReadAll(stream)) {
    for (const auto& event : response.events()) EXPECT_EQ(event.kv().mod_revision(), ++last);
  }
  EXPECT_EQ(last, 1 + kChanges);
}

// Between a state that went back and the hub's hearing of it, the hub still stands where it was.
TEST(WatchHubTest, WhatIsBeyondTheStateCannotBeRead) {
  WatchFixture fixture;
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  EXPECT_TRUE(fixture.driver->ReadChanges(1, 2, 1'000).ok());
  EXPECT_TRUE(absl::IsUnavailable(fixture.driver->ReadChanges(1, 3, 1'000).status()));
}

TEST(WatchHubTest, AFloodOfRequestsIsRefusedAndOfResponsesEnded) {
  WatchHubOptions options;
  options.stream_request_bytes_max = 10'000;
  options.stream_bytes_max = 2'000;
  WatchFixture fixture(options);
  const auto stream = fixture.Open();
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key("a");
  absl::Status taken;
  int count = 0;
  while ((taken = fixture.hub->Request(stream, request)).ok()) ++count;
  EXPECT_TRUE(absl::IsResourceExhausted(taken)) << taken;
  EXPECT_GT(count, 20);
  while (!fixture.sink(stream).ended().has_value()) {
    fixture.Settle();
    ASSERT_TRUE(fixture.hub->Request(stream, request).ok());
  }
  EXPECT_EQ(fixture.sink(stream).ended()->message(),
            "datum: the client does not read its watch stream");
  EXPECT_LT(fixture.sink(stream).queued(), 4'100u);
  EXPECT_EQ(fixture.hub->watchers(), 0u);
}

TEST(WatchHubTest, AStateThatTakesThePlaceOfTheOldOneLosesNobodyAnything) {
  WatchFixture fixture;
  const auto stream = fixture.Open();
  fixture.Ask(stream, WatchFixture::Everything());
  fixture.Settle();
  ASSERT_TRUE(fixture.driver.Put("a", "1").ok());
  // What the other state has been through, this one's observer hears nothing of.
  fixture.driver->set_observer(nullptr);
  ASSERT_TRUE(fixture.driver.Put("b", "2").ok());
  fixture.driver->set_observer(fixture.hub.get());
  ASSERT_TRUE(fixture.driver.MoveToCopy().ok());
  ASSERT_TRUE(fixture.driver.Put("c", "3").ok());
  EXPECT_EQ(Shown(fixture.ReadAll(stream)), "0 created @1 | 0 +a2 @2 | 0 +b3 +c4 @4");
}

TEST(WatchHubTest, EveryStreamEndsWhenItMust) {
  WatchFixture fixture;
  const auto one = fixture.Open();
  const auto other = fixture.Open();
  fixture.Ask(one, WatchFixture::Key("a"));
  fixture.Ask(other, WatchFixture::Key("a"));
  fixture.Settle();
  fixture.hub->EndAll(absl::UnavailableError("the end"));
  fixture.Settle();
  EXPECT_EQ(fixture.sink(one).ended()->message(), "the end");
  EXPECT_EQ(fixture.sink(other).ended()->message(), "the end");
  fixture.hub->Close(one);
  fixture.hub->Close(other);
  fixture.Settle();
  EXPECT_FALSE(fixture.hub->wanted());
}

}  // namespace
}  // namespace store
