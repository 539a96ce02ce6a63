// SPDX-License-Identifier: Apache-2.0

#include "tests/watch/watch_checker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace watch_check {
namespace {

std::string Shown(const mvccpb::Event& event) {
  return absl::StrCat(event.type() == mvccpb::Event::PUT ? "put " : "delete ", event.kv().key(),
                      " at ", event.kv().mod_revision());
}

}  // namespace

Verdict WatchChecker::OnResponse(const etcdserverpb::WatchResponse& response,
                                 int64_t compact_revision) {
  if (cancelled_) return "a response after the watcher was cancelled";
  if (response.created()) {
    if (created_) return "created twice";
    created_ = true;
    cancelled_ = response.canceled();
    start_ = request_.start_revision() != 0 ? request_.start_revision()
                                            : response.header().revision() + 1;
    closed_through_ = start_ - 1;
    last_revision_ = start_ - 1;
    return std::nullopt;
  }
  if (!created_) return "a response before the created one";
  if (response.canceled()) {
    cancelled_ = true;
    compact_revision_ = response.compact_revision();
    if (response.events_size() > 0) return "events in a cancellation";
    if (compact_revision_ != 0 && compact_revision_ <= last_revision_) {
      return "cancelled for a compaction that had not passed it";
    }
    return std::nullopt;
  }
  if (response.events_size() > 0) return OnEvents(response, compact_revision);
  if (in_pieces_) return "progress between the pieces of an answer";
  const int64_t revision = response.header().revision();
  if (revision < progress_) return "progress went back";
  progress_ = revision;
  closed_through_ = std::max(closed_through_, revision);
  return std::nullopt;
}

Verdict WatchChecker::OnEvents(const etcdserverpb::WatchResponse& response,
                               int64_t compact_revision) {
  if (response.fragment() && !request_.fragment()) return "pieces that nobody asked for";
  for (const mvccpb::Event& event : response.events()) {
    const int64_t revision = event.kv().mod_revision();
    if (revision <= closed_through_) {
      return absl::StrCat(Shown(event), " came after all up to ", closed_through_, " was there");
    }
    if (revision < last_revision_) return absl::StrCat(Shown(event), " is out of order");
    last_revision_ = revision;
    seen_.push_back({event, revision - 1 < compact_revision});
  }
  if (response.header().revision() < last_revision_) return "a header older than its events";
  in_pieces_ = response.fragment();
  // A revision comes whole.
  if (!in_pieces_) closed_through_ = std::max(closed_through_, last_revision_);
  return std::nullopt;
}

bool WatchChecker::Wanted(const mvccpb::Event& event) const {
  const std::string& key = event.kv().key();
  const std::string& end = request_.range_end();
  if (end.empty() ? key != request_.key() : key < request_.key()) return false;
  if (!end.empty() && end != std::string(1, '\0') && key >= end) return false;
  for (const int filter : request_.filters()) {
    const bool no_puts = filter == etcdserverpb::WatchCreateRequest::NOPUT;
    if (no_puts == (event.type() == mvccpb::Event::PUT)) return false;
  }
  return true;
}

bool WatchChecker::AsExpected(const Seen& seen, const mvccpb::Event& event) const {
  mvccpb::Event expected = event;
  const bool bare = !request_.prev_kv() || (seen.may_be_bare && !seen.event.has_prev_kv());
  if (bare) expected.clear_prev_kv();
  return seen.event.SerializeAsString() == expected.SerializeAsString();
}

Verdict WatchChecker::Finish(const History& history, int64_t expected_through) const {
  if (!created_) return "never created";
  if (in_pieces_) return "the last piece of an answer never came";
  // What it was told of, or promised to have been told of.
  const int64_t through =
      cancelled_ ? last_revision_ : std::max({expected_through, last_revision_, progress_});
  size_t next = 0;
  const auto& all = history.events();
  for (auto at = all.lower_bound(start_); at != all.end() && at->first <= through; ++at) {
    for (const mvccpb::Event& event : at->second) {
      if (!Wanted(event)) continue;
      if (next == seen_.size()) return absl::StrCat(Shown(event), " never came");
      const Seen& seen = seen_[next++];
      if (!AsExpected(seen, event)) {
        return absl::StrCat("instead of ", Shown(event), " came ", Shown(seen.event), ": ",
                            seen.event.ShortDebugString());
      }
    }
  }
  if (next != seen_.size()) return absl::StrCat(Shown(seen_[next].event), " never happened");
  return std::nullopt;
}

int64_t WatchChecker::resume_from() const {
  return std::max({start_, closed_through_ + 1, compact_revision_});
}

}  // namespace watch_check
