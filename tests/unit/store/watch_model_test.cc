// SPDX-License-Identifier: Apache-2.0
//
// Random writes, compactions, installs, slow clients and short queues; what each watcher was told
// is held against all that happened. Bugs that are planted must be found.

#include <algorithm>

#include "base/canary.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/unit/store/watch_fixture.h"
#include "tests/watch/watch_checker.h"

namespace store {
namespace {

using etcdserverpb::InternalRaftRequest;
using etcdserverpb::WatchCreateRequest;
using watch_check::Verdict;
using watch_check::WatchChecker;

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : random_(seed), fixture_(Options()) {
    for (int i = 0; i < 4; ++i) streams_.push_back({fixture_.Open(), {}, {}});
  }

  // The first thing that is wrong.
  Verdict Go() {
    for (int step = 0; step < 300 && !verdict_; ++step) Step();
    for (Stream& stream : streams_) {
      while (!verdict_ && Read(&stream, SIZE_MAX) > 0) {
      }
    }
    const int64_t revision = fixture_.driver->revision();
    for (const Stream& stream : streams_) {
      const auto& ended = fixture_.sink(stream.open).ended();
      if (!verdict_ && ended.has_value()) verdict_ = "a stream ended: " + ended->ToString();
      for (const auto& [id, checker] : stream.watchers) {
        if (!verdict_) verdict_ = checker.Finish(history_, revision);
      }
    }
    return verdict_;
  }

 private:
  struct Stream {
    std::shared_ptr<WatchStream> open;
    // Those whose created response has not come, in order.
    std::vector<WatchCreateRequest> asked;
    std::map<int64_t, WatchChecker> watchers;
  };

  WatchHubOptions Options() {
    WatchHubOptions options;
    options.change_bytes_max = random_.Chance(0.5) ? 1'500 : 64 << 20;
    options.stream_bytes_max = random_.Between(1'500, 5'000);
    options.sent_bytes_max = random_.Chance(0.3) ? 1'000 : 1 << 20;
    options.stream_bytes_min = 100;
    options.response_bytes = random_.Between(60, 600);
    options.part_bytes = random_.Between(60, 1'000);
    options.progress_interval = std::chrono::milliseconds(100);
    return options;
  }

  std::string SomeKey() { return std::string(1, "abcdef"[random_.Below(6)]); }

  void Step() {
    fixture_.now += std::chrono::milliseconds(random_.Below(20));
    const uint64_t what = random_.Below(100);
    Stream& stream = streams_[random_.Below(streams_.size())];
    if (what < 45) {
      Write();
    } else if (what < 55) {
      Ask(&stream);
    } else if (what < 60) {
      fixture_.AskProgress(stream.open);
    } else if (what < 63) {
      const int64_t floor = std::max<int64_t>(fixture_.driver->compact_revision(), 1);
      const int64_t revision = fixture_.driver->revision();
      if (revision > floor + 20) {
        EXPECT_TRUE(fixture_.driver.Compact(floor + 10).ok());
      }
    } else if (what < 66) {
      fixture_.driver.FinishCompaction();
    } else if (what < 67) {
      EXPECT_TRUE(fixture_.driver.MoveToCopy().ok());
    } else if (what < 85) {
      fixture_.hub->Turn(fixture_.now);
    } else {
      Read(&stream, random_.Below(4));
    }
  }

  // A Txn of distinct keys; the history is what it then says of itself.
  void Write() {
    InternalRaftRequest request;
    std::map<std::string, bool> puts;
    for (uint64_t i = random_.Between(1, 4); i > 0; --i) puts[SomeKey()] = random_.Chance(0.7);
    for (const auto& [key, is_put] : puts) {
      auto* operation = request.mutable_txn()->add_success();
      if (is_put) {
        operation->mutable_request_put()->set_key(key);
        operation->mutable_request_put()->set_value(std::string(random_.Below(40), 'v'));
      } else {
        operation->mutable_request_delete_range()->set_key(key);
      }
    }
    const int64_t before = fixture_.driver->revision();
    ASSERT_TRUE(fixture_.driver.Apply(request).status.ok());
    if (fixture_.driver->revision() == before) return;
    for (const auto& [key, is_put] : puts) Remember(key, is_put, before + 1);
  }

  void Remember(const std::string& key, bool is_put, int64_t revision) {
    mvccpb::Event event;
    const auto known = newest_.find(key);
    if (known != newest_.end()) *event.mutable_prev_kv() = known->second;
    if (is_put) {
      *event.mutable_kv() = fixture_.driver.Get(key).kvs(0);
      newest_[key] = event.kv();
    } else {
      if (known == newest_.end()) return;
      event.set_type(mvccpb::Event::DELETE);
      event.mutable_kv()->set_key(key);
      event.mutable_kv()->set_mod_revision(revision);
      newest_.erase(known);
    }
    history_.Add(event);
  }

  void Ask(Stream* stream) {
    if (stream->asked.size() + stream->watchers.size() > 8) return;
    WatchCreateRequest request;
    request.set_key(SomeKey());
    if (random_.Chance(0.5)) request.set_range_end(std::string(1, '\0'));
    if (random_.Chance(0.3)) request.set_range_end(request.key() + "z");
    if (random_.Chance(0.6)) {
      const auto newest = static_cast<uint64_t>(fixture_.driver->revision());
      const int64_t floor = std::max<int64_t>(fixture_.driver->compact_revision(), 1);
      request.set_start_revision(
          static_cast<int64_t>(random_.Between(static_cast<uint64_t>(floor), newest + 3)));
    }
    request.set_prev_kv(random_.Chance(0.5));
    request.set_fragment(random_.Chance(0.3));
    request.set_progress_notify(random_.Chance(0.5));
    if (random_.Chance(0.2)) request.add_filters(WatchCreateRequest::NOPUT);
    if (random_.Chance(0.2)) request.add_filters(WatchCreateRequest::NODELETE);
    stream->asked.push_back(request);
    fixture_.Ask(stream->open, request);
  }

  // Reads some responses; says how many there were.
  size_t Read(Stream* stream, size_t responses_max) {
    size_t read = 0;
    TestSink& sink = fixture_.sink(stream->open);
    if (responses_max == SIZE_MAX) fixture_.Settle();
    while (read < responses_max && !verdict_) {
      const auto response = sink.Read();
      if (!response.has_value()) break;
      ++read;
      Take(stream, *response);
    }
    if (sink.queued() == 0) fixture_.hub->Drained(stream->open);
    if (responses_max == SIZE_MAX) fixture_.Settle();
    return read;
  }

  void Take(Stream* stream, const etcdserverpb::WatchResponse& response) {
    const auto tell = [&](WatchChecker* checker) {
      const Verdict wrong = checker->OnResponse(response, fixture_.driver->compact_revision());
      if (wrong) verdict_ = *wrong + ": " + response.ShortDebugString();
    };
    if (response.created()) {
      ASSERT_FALSE(stream->asked.empty());
      const auto [at, added] = stream->watchers.emplace(response.watch_id(), stream->asked.front());
      ASSERT_TRUE(added);
      stream->asked.erase(stream->asked.begin());
      return tell(&at->second);
    }
    if (response.watch_id() == -1) {
      for (auto& [id, checker] : stream->watchers) {
        if (!checker.cancelled()) tell(&checker);
      }
      return;
    }
    tell(&stream->watchers.at(response.watch_id()));
  }

  base::Random random_;
  WatchFixture fixture_;
  std::vector<Stream> streams_;
  watch_check::History history_;
  std::map<std::string, mvccpb::KeyValue> newest_;
  Verdict verdict_;
};

#ifdef DATUM_CANARIES

class PlantedTest : public testing::TestWithParam<const char*> {};

TEST_P(PlantedTest, IsFound) {
  base::PlantedCanary() = GetParam();
  uint64_t seed = 1;
  Verdict verdict;
  while (!verdict && seed <= 1'000) verdict = Scenario(seed++).Go();
  base::PlantedCanary().clear();
  ASSERT_TRUE(verdict.has_value()) << GetParam() << " is not found in 1,000 seeds";
  RecordProperty("seeds", static_cast<int>(seed - 1));
  printf("%s: found by seed %d: %s\n", GetParam(), static_cast<int>(seed - 1), verdict->c_str());
}

INSTANTIATE_TEST_SUITE_P(Watch, PlantedTest,
                         testing::Values("watch-event-dropped-at-switch", "watch-event-twice",
                                         "watch-revision-split", "watch-progress-ahead",
                                         "watch-previous-left-out"));

#else

TEST(WatchModelTest, EveryWatcherIsToldWhatItWasPromised) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const Verdict verdict = Scenario(seed).Go();
    ASSERT_FALSE(verdict.has_value()) << "seed " << seed << ": " << *verdict;
  }
}

#endif

}  // namespace
}  // namespace store
