// SPDX-License-Identifier: Apache-2.0
//
// peer_book.h: where the other members are reached.
//
// A configuration is in force when it is appended, so a member that is being added must be reached
// before its entry is applied: besides the applied membership the book holds what the log says
// behind it, and strangers that introduced themselves by a stream, whose entry has not come yet.
//
// Threads: any.

#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "raft/core/types.h"
#include "raft/node/ports.h"
#include "server/membership.h"

namespace server {

struct PeerPlace {
  std::string name;
  std::vector<std::string> peer_urls;
  friend bool operator==(const PeerPlace&, const PeerPlace&) = default;
};

class PeerBook {
 public:
  // `first`: the members as the flags or an introduction said. Each counts until the membership
  // names it, or says that it was removed: a member that joined applies the memberships of the
  // past first, and meanwhile answers a leader that none of them knows.
  PeerBook(uint64_t self, std::map<uint64_t, PeerPlace> first);

  void SetApplied(const Membership& membership);
  // True if somebody is to be reached elsewhere now.
  bool Append(std::span<const raft::EntryRef> entries);
  // A member that nobody here knows has said where it is reached. True if it is news.
  bool Learn(uint64_t id, const PeerPlace& address);

  // Everybody but this member and those who were removed.
  std::map<uint64_t, PeerPlace> Peers() const;

 private:
  const uint64_t self_;
  mutable std::mutex mutex_;
  // As applied.
  std::map<uint64_t, PeerPlace> known_;
  std::set<uint64_t> removed_;
  // By index of the entry: what it says.
  std::map<raft::Index, std::map<uint64_t, PeerPlace>> appended_;
  std::map<uint64_t, PeerPlace> strangers_;
};

// The log, whose entries go by the book on their way.
class BookedLog final : public raft::LogStore {
 public:
  // `on_news` is called on the log thread and must not block.
  BookedLog(raft::LogStore* log, PeerBook* book, std::function<void()> on_news)
      : log_(log), book_(book), on_news_(std::move(on_news)) {}

  void Append(std::span<const raft::EntryRef> entries) override {
    if (book_->Append(entries)) on_news_();
    log_->Append(entries);
  }
  void Sync() override { log_->Sync(); }
  absl::StatusOr<std::vector<raft::EntryRef>> Read(raft::Index from, size_t bytes_max) override {
    return log_->Read(from, bytes_max);
  }
  void Restart(raft::LogPosition base) override { log_->Restart(base); }
  raft::LogPosition Release(raft::Index through) override { return log_->Release(through); }

 private:
  raft::LogStore* const log_;
  PeerBook* const book_;
  const std::function<void()> on_news_;
};

}  // namespace server
