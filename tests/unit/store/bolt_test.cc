// SPDX-License-Identifier: Apache-2.0

#include <cstdio>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "store/bolt_file.h"
#include "store/bolt_reader.h"
#include "store/bolt_writer.h"

namespace store::bolt {
namespace {

using Bucket = std::map<std::string, std::string>;
using Buckets = std::map<std::string, Bucket>;

std::string Written(const Buckets& buckets, uint64_t* planned) {
  FileWriter writer;
  for (const auto& [name, bucket] : buckets) {
    writer.AddBucket(name, [&bucket = bucket](TreeWriter* tree, bool planning) {
      for (const auto& [key, value] : bucket) {
        if (!tree->Add(key, value.size(), planning ? std::string_view() : value)) return false;
      }
      return true;
    });
  }
  *planned = writer.Plan();
  std::string file;
  EXPECT_TRUE(writer.Write([&](std::string_view bytes) {
    file.append(bytes);
    return true;
  }));
  return file;
}

std::string Saved(const std::string& bytes) {
  const std::string path = testing::TempDir() + "/bolt_test.db";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

absl::StatusOr<Bucket> Read(const FileReader& reader, const std::string& name) {
  Bucket bucket;
  const absl::Status read = reader.ForEach(name, [&](std::string_view key, std::string_view value) {
    bucket.emplace(key, value);
    return absl::OkStatus();
  });
  if (!read.ok()) return read;
  return bucket;
}

TEST(BoltTest, WhatWasWrittenIsReadWhateverItsShape) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    base::Random random(seed);
    Buckets buckets;
    for (uint64_t i = random.Between(1, 6); i > 0; --i) {
      Bucket& bucket = buckets[absl::StrCat("bucket ", i)];
      const uint64_t kSizes[] = {0, 1, 7, 300, 20'000};
      const uint64_t keys = kSizes[random.Below(seed % 10 == 0 ? 5 : 4)];
      for (uint64_t k = 0; k < keys; ++k) {
        const uint64_t value_bytes = random.Chance(0.01) ? random.Below(30'000) : random.Below(60);
        bucket[absl::StrCat(random.Next(), "/", k)] = std::string(value_bytes, 'v');
      }
    }
    uint64_t planned = 0;
    const std::string file = Written(buckets, &planned);
    ASSERT_EQ(file.size(), planned);
    const auto reader = FileReader::Open(Saved(file), 0);
    ASSERT_TRUE(reader.ok()) << reader.status();
    for (const auto& [name, bucket] : buckets) {
      const auto read = Read(**reader, name);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(*read, bucket) << "seed " << seed << ", " << name;
    }
    EXPECT_TRUE(Read(**reader, "no such bucket")->empty());
  }
}

TEST(BoltTest, ASinkThatWantsNoMoreEndsTheWork) {
  FileWriter writer;
  int added = 0;
  writer.AddBucket("b", [&](TreeWriter* tree, bool planning) {
    for (int i = 0; i < 10'000; ++i) {
      added += planning ? 0 : 1;
      if (!tree->Add(absl::StrCat(1'000'000 + i), 100, std::string(100, 'v'))) return false;
    }
    return true;
  });
  writer.Plan();
  int calls = 0;
  EXPECT_FALSE(writer.Write([&](std::string_view) { return ++calls < 5; }));
  EXPECT_LT(added, 300);
}

TEST(BoltTest, AnyDamageIsFoundOrHarmless) {
  Buckets buckets;
  for (int i = 0; i < 500; ++i) buckets["b"][absl::StrCat(1000 + i)] = std::string(50, 'v');
  uint64_t planned = 0;
  const std::string whole = Written(buckets, &planned);
  base::Random random(3);
  int found = 0;
  for (int i = 0; i < 500; ++i) {
    std::string damaged = whole;
    for (uint64_t hits = random.Between(1, 8); hits > 0; --hits) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    }
    if (random.Chance(0.3)) damaged.resize(random.Below(damaged.size()));
    const auto reader = FileReader::Open(Saved(damaged), 0);
    if (!reader.ok()) {
      ++found;
      continue;
    }
    found += Read(**reader, "b").ok() ? 0 : 1;
  }
  EXPECT_GT(found, 100);
}

}  // namespace
}  // namespace store::bolt
