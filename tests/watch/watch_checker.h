// SPDX-License-Identifier: Apache-2.0
//
// watch_checker.h: whether a watcher was told what it was promised.
//
// The properties are those that etcd states for its watch: filtered, ordered, unique, atomic,
// reliable, resumable, bookmarkable (progress), created and prevKV right. The history that it is
// held against comes from whoever applied the writes.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/etcd/rpc.pb.h"

namespace watch_check {

// All changes of all keys, by revision, in their order; prev_kv is set where there was one.
class History {
 public:
  void Add(const mvccpb::Event& event) { events_[event.kv().mod_revision()].push_back(event); }
  const std::map<int64_t, std::vector<mvccpb::Event>>& events() const { return events_; }

 private:
  std::map<int64_t, std::vector<mvccpb::Event>> events_;
};

// What is wrong, in words; nothing if all is right.
using Verdict = std::optional<std::string>;

// One watcher, from its created response on.
class WatchChecker {
 public:
  explicit WatchChecker(etcdserverpb::WatchCreateRequest request) : request_(std::move(request)) {}

  // The next response that came for it (or, with id -1, for its whole stream). Who sent it knew of
  // no compaction beyond `compact_revision` then.
  Verdict OnResponse(const etcdserverpb::WatchResponse& response, int64_t compact_revision);

  // Holds all that came against the history. Everything up to `expected_through` must have come,
  // unless the watcher was cancelled.
  Verdict Finish(const History& history, int64_t expected_through) const;

  bool created() const { return created_; }
  bool cancelled() const { return cancelled_; }
  // A piece of an answer came and its last one not yet.
  bool in_pieces() const { return in_pieces_; }
  int64_t compact_revision() const { return compact_revision_; }
  // From where another watcher goes on.
  int64_t resume_from() const;
  size_t events_seen() const { return seen_.size(); }

 private:
  struct Seen {
    mvccpb::Event event;
    // What was before it may be compacted.
    bool may_be_bare = false;
  };

  Verdict OnEvents(const etcdserverpb::WatchResponse& response, int64_t compact_revision);
  bool Wanted(const mvccpb::Event& event) const;
  // Whether it was seen as this watcher should see it.
  bool AsExpected(const Seen& seen, const mvccpb::Event& event) const;

  const etcdserverpb::WatchCreateRequest request_;
  bool created_ = false;
  bool cancelled_ = false;
  int64_t compact_revision_ = 0;
  int64_t start_ = 0;
  // Events with a revision at or below it may not come any more.
  int64_t closed_through_ = 0;
  // A piece of an answer came and its last one not yet.
  bool in_pieces_ = false;
  int64_t last_revision_ = 0;
  int64_t progress_ = 0;
  std::vector<Seen> seen_;
};

}  // namespace watch_check
