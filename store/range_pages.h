// SPDX-License-Identifier: Apache-2.0
//
// range_pages.h: a range read page by page, all of it from one moment.
//
// The pages share a view, so nothing is missing or doubled however long they take, and a compaction
// that runs meanwhile takes nothing away; memory is one page's.
// Threads: one at a time; any.
// Errors:  as reads.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"
#include "store/key_space.h"
#include "store/view.h"

namespace store {

class RangePages {
 public:
  // Requires: the request's revision was checked against the view; no filters, no order but by
  // ascending keys. `view`'s compaction is held until this is destroyed.
  RangePages(std::shared_ptr<const View> view, etcdserverpb::RangeRequest request);
  ~RangePages();

  // The next datums, until they take `bytes_max` or are `keys_max`, one at least if there is one.
  // The last page also has the count and `more`. False then.
  absl::StatusOr<bool> Next(int64_t keys_max, uint64_t bytes_max,
                            etcdserverpb::RangeResponse* page);

  // The store's, for the header.
  int64_t revision() const;
  const std::shared_ptr<const View>& view() const { return view_; }

 private:
  const std::shared_ptr<const View> view_;
  const etcdserverpb::RangeRequest request_;
  const KeySpace keys_;
  const int64_t at_;
  // The first key of the next page.
  std::string next_key_;
  int64_t sent_ = 0;
};

}  // namespace store
