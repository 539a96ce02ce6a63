// SPDX-License-Identifier: Apache-2.0
//
// watch_fanout.h: from changes to responses: who is to hear of them, in which pieces.
//
// A response holds whole revisions, unless a watcher takes fragments. What a watcher gets in one
// round comes in as few responses as the limit allows.
// Threads: the watch thread.

#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "proto/etcd/rpc.pb.h"
#include "store/change_batch.h"
#include "store/watch_events.h"
#include "store/watcher.h"
#include "store/watcher_index.h"

namespace store {

class WatchFanout {
 public:
  // The header of a response that speaks for a revision.
  using FillHeader = std::function<void(int64_t revision, etcdserverpb::ResponseHeader*)>;
  // Sends to a stream; may find that it is full.
  using Send = std::function<void(WatchStream*, std::string response)>;
  // Whether that watcher hears in this round of a change at `revision`.
  using Wants = absl::FunctionRef<bool(Watcher*, int64_t revision)>;
  // Told of one that gets nothing of this round, as its stream was filled before its turn came: it
  // is still to hear of what was changed from `revision` on.
  using LeftOut = absl::FunctionRef<void(Watcher*, int64_t revision)>;

  // A response takes its next revision only while it is smaller than `response_bytes`; a piece for
  // a watcher that takes fragments is not larger, one event at least.
  WatchFanout(const ChangeReader* reader, size_t response_bytes, FillHeader fill_header, Send send)
      : response_bytes_(response_bytes),
        fill_header_(std::move(fill_header)),
        send_(std::move(send)),
        events_(reader) {}

  WatcherIndex& index() { return index_; }

  // One round: sends the changes, which follow each other, to those who want them.
  // Errors: what decoding and ReadPrevious return; some have heard of the round then and some not.
  absl::Status Distribute(std::span<const ChangeBatch> batches, Wants wants, LeftOut left_out);

 private:
  absl::Status Collect(const ChangeBatch& batch, Wants wants);
  absl::Status SendPending(Watcher* watcher);
  // The head of a response: all but its events.
  std::string Head(const Watcher& watcher, int64_t revision, bool more_pieces) const;

  const size_t response_bytes_;
  const FillHeader fill_header_;
  const Send send_;
  WatcherIndex index_;
  WatchEvents events_;
  // Those with something pending, in the order in which they came to it.
  std::vector<Watcher*> touched_;
};

}  // namespace store
