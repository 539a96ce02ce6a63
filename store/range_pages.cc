// SPDX-License-Identifier: Apache-2.0

#include "store/range_pages.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "store/range.h"

namespace store {

RangePages::RangePages(std::shared_ptr<const View> view, etcdserverpb::RangeRequest request)
    : view_(std::move(view)),
      request_(std::move(request)),
      // Not the cache: a long read would only push out what others need.
      keys_(view_->reader.get(),
            {view_->backing->engine.get(), view_->backing->compaction.dropped_to()}),
      at_(std::max<int64_t>(request_.revision(), kNewest)),
      next_key_(request_.key()) {}

RangePages::~RangePages() { view_->backing->compaction.Release(); }

int64_t RangePages::revision() const { return view_->numbers.revision; }

absl::StatusOr<bool> RangePages::Next(int64_t keys_max, uint64_t bytes_max,
                                      etcdserverpb::RangeResponse* page) {
  const KeyRange whole = KeyRangeOf(request_.key(), request_.range_end());
  const KeyRange rest{next_key_, whole.end, whole.single};
  const int64_t limit = request_.limit() > 0 ? request_.limit() : INT64_MAX;
  uint64_t bytes = 0;
  bool more = false;
  if (!request_.count_only()) {
    RETURN_IF_ERROR(keys_.Scan(rest, at_, [&](std::string_view key, const Datum& datum) {
      if (sent_ == limit || page->kvs_size() == keys_max || bytes >= bytes_max) {
        next_key_ = key;
        more = true;
        return false;
      }
      Datum wanted = datum;
      if (request_.keys_only()) wanted.value = {};
      if (request_.keys_only()) wanted.lease = 0;
      FillKeyValue(key, wanted, page->add_kvs());
      bytes += AnswerBytes(page->kvs(page->kvs_size() - 1));
      ++sent_;
      return true;
    }));
  }
  if (more && sent_ < limit) return true;
  int64_t count = sent_;
  if (more || request_.count_only()) {
    ASSIGN_OR_RETURN(const int64_t behind, keys_.Count({next_key_, whole.end, whole.single}, at_));
    count += behind;
  }
  page->set_count(count);
  page->set_more(more);
  return false;
}

}  // namespace store
