// SPDX-License-Identifier: Apache-2.0

#include "store/watcher_index.h"

#include <set>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/keys.h"

namespace store {
namespace {

std::multiset<int64_t> Matched(const WatcherIndex& index, const std::string& key) {
  std::multiset<int64_t> ids;
  index.Match(key, [&](Watcher* watcher) { ids.insert(watcher->id); });
  return ids;
}

bool Watches(const Watcher& watcher, const std::string& key) {
  const KeyRange range = KeyRangeOf(watcher.key, watcher.range_end);
  if (range.single) return key == range.begin;
  return key >= range.begin && (range.end.empty() || key < range.end);
}

TEST(WatcherIndexTest, FindsKeysAndRangesAsAPlainListDoes) {
  base::Random random(7);
  const auto some_key = [&] {
    std::string key;
    for (uint64_t i = random.Between(1, 3); i > 0; --i) key += "abc"[random.Below(3)];
    return key;
  };
  WatchStream stream(nullptr);
  WatcherIndex index;
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int step = 0; step < 5000; ++step) {
    if (watchers.empty() || random.Chance(0.55)) {
      auto watcher = std::make_unique<Watcher>(&stream, step);
      watcher->key = some_key();
      if (random.Chance(0.6)) watcher->range_end = some_key();
      if (random.Chance(0.1)) watcher->range_end = std::string(1, '\0');
      index.Add(watcher.get());
      watchers.push_back(std::move(watcher));
    } else {
      const size_t gone = random.Below(watchers.size());
      index.Remove(watchers[gone].get());
      watchers.erase(watchers.begin() + static_cast<std::ptrdiff_t>(gone));
    }
    const std::string key = some_key();
    std::multiset<int64_t> expected;
    for (const auto& watcher : watchers) {
      if (Watches(*watcher, key)) expected.insert(watcher->id);
    }
    ASSERT_EQ(Matched(index, key), expected) << "step " << step << ", key " << key;
  }
}

TEST(WatcherIndexTest, AllWhoWatchTheSameLeaveInAnyOrder) {
  WatchStream stream(nullptr);
  WatcherIndex index;
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 6; ++i) {
    watchers.push_back(std::make_unique<Watcher>(&stream, i));
    watchers.back()->key = "k";
    if (i % 2 == 1) watchers.back()->range_end = "l";
    index.Add(watchers.back().get());
  }
  EXPECT_EQ(Matched(index, "k").size(), 6u);
  for (const int gone : {0, 5, 2, 1, 4, 3}) index.Remove(watchers[gone].get());
  EXPECT_TRUE(Matched(index, "k").empty());
}

}  // namespace
}  // namespace store
