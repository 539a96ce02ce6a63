// SPDX-License-Identifier: Apache-2.0
//
// watch_events.h: the events of one round, each encoded once however many watch it.
//
// Threads: the watch thread.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/change_batch.h"

namespace store {

class WatchEvents {
 public:
  // `reader` must outlive this.
  explicit WatchEvents(const ChangeReader* reader) : reader_(reader) {}

  // Takes a change in and returns its number in this round. The views must live until Clear.
  uint32_t Add(Revision revision, const Change& change);
  void Clear() { events_.clear(); }

  int64_t revision(uint32_t event) const { return events_[event].revision.main; }
  // The event as a field of a WatchResponse, with the datum before it if `previous`. The bytes live
  // until Clear. Errors: as ChangeReader::ReadPrevious.
  absl::StatusOr<std::string_view> Encoded(uint32_t event, bool previous);

 private:
  struct Item {
    Revision revision;
    Change change;
    // Empty until somebody wants it.
    std::string plain;
    std::string with_previous;
  };

  const ChangeReader* const reader_;
  std::vector<Item> events_;
};

}  // namespace store
