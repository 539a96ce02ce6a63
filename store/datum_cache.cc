// SPDX-License-Identifier: Apache-2.0

#include "store/datum_cache.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "store/datum.h"

namespace store {
namespace {

constexpr size_t kShardCount = 64;
// List node, table slot, shared pointer and string heads.
constexpr size_t kItemOverheadBytes = 160;

}  // namespace

DatumCache::DatumCache(size_t bytes_max) : shard_bytes_max_(bytes_max / kShardCount) {
  for (size_t i = 0; i < kShardCount; ++i) shards_.push_back(std::make_unique<Shard>());
}

std::optional<DatumCache::Answer> DatumCache::Find(std::string_view key, int64_t revision) {
  Shard& shard = ShardOf(key);
  std::lock_guard<std::mutex> lock(shard.mutex);
  const auto at = shard.by_key.find(key);
  if (at == shard.by_key.end() || at->second->revision > revision) return std::nullopt;
  shard.items.splice(shard.items.begin(), shard.items, at->second);
  return at->second->answer;
}

void DatumCache::Update(std::string_view key, std::string_view datum_bytes, int64_t revision) {
  Shard& shard = ShardOf(key);
  std::lock_guard<std::mutex> lock(shard.mutex);
  shard.updated_at = revision;
  Store(&shard, key, datum_bytes, revision);
}

void DatumCache::Offer(std::string_view key, std::string_view datum_bytes, int64_t revision) {
  Shard& shard = ShardOf(key);
  std::lock_guard<std::mutex> lock(shard.mutex);
  // This key may be what changed since: the shard remembers no more than when.
  if (shard.updated_at > revision) return;
  int64_t known_from = revision;
  if (!datum_bytes.empty()) {
    const auto datum = DecodeDatum(datum_bytes);
    if (!datum.ok()) return;
    known_from = datum->mod_revision.main;
  }
  Store(&shard, key, datum_bytes, known_from);
}

size_t DatumCache::ItemBytes(const Item& item) {
  return kItemOverheadBytes + item.key.size() + (item.answer ? item.answer->size() : 0);
}

DatumCache::Shard& DatumCache::ShardOf(std::string_view key) {
  return *shards_[std::hash<std::string_view>()(key) % kShardCount];
}

void DatumCache::Store(Shard* shard, std::string_view key, std::string_view datum_bytes,
                       int64_t revision) {
  const auto at = shard->by_key.find(key);
  if (at != shard->by_key.end()) {
    const auto item = at->second;
    shard->bytes -= ItemBytes(*item);
    shard->by_key.erase(at);
    shard->items.erase(item);
  }
  // One datum must not push out a good part of the shard.
  if (kItemOverheadBytes + key.size() + datum_bytes.size() > shard_bytes_max_ / 4) return;
  Answer answer;
  if (!datum_bytes.empty()) answer = std::make_shared<const std::string>(datum_bytes);
  shard->items.push_front({std::string(key), std::move(answer), revision});
  shard->by_key.emplace(shard->items.front().key, shard->items.begin());
  shard->bytes += ItemBytes(shard->items.front());
  while (shard->bytes > shard_bytes_max_) {
    const Item& oldest = shard->items.back();
    shard->bytes -= ItemBytes(oldest);
    shard->by_key.erase(oldest.key);
    shard->items.pop_back();
  }
}

absl::StatusOr<bool> CachedReader::Get(Family family, std::string_view key,
                                       OnValue on_value) const {
  if (family != Family::kDatum) return base_->Get(family, key, on_value);
  if (const auto answer = cache_->Find(key, revision_)) {
    if (*answer == nullptr) return false;
    on_value(**answer);
    return true;
  }
  auto found = base_->Get(family, key, [&](std::string_view bytes) {
    cache_->Offer(key, bytes, revision_);
    on_value(bytes);
  });
  if (found.ok() && !*found) cache_->Offer(key, {}, revision_);
  return found;
}

}  // namespace store
