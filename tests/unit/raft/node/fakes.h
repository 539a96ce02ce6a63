// SPDX-License-Identifier: Apache-2.0
//
// fakes.h: the ports of a node in memory. They note in one journal what was done in which order.
//
// Threads: any, each call is atomic.

#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/node/ports.h"
#include "raft/wire/codec.h"

namespace raft {

class Journal {
 public:
  void Add(std::string line) {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  std::vector<std::string> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

class FakeLog final : public LogStore {
 public:
  explicit FakeLog(Journal* journal) : journal_(journal) {}

  void Append(std::span<const EntryRef> entries) override {
    std::lock_guard lock(mutex_);
    std::string line = "append";
    for (const EntryRef& entry : entries) {
      entries_.erase(entries_.lower_bound(entry->index), entries_.end());
      entries_[entry->index] = entry;
      absl::StrAppend(&line, " ", entry->term.value(), "/", entry->index.value());
    }
    journal_->Add(line);
  }
  void Sync() override { journal_->Add("sync"); }
  absl::StatusOr<std::vector<EntryRef>> Read(Index from, size_t) override {
    std::lock_guard lock(mutex_);
    std::vector<EntryRef> read;
    for (auto at = entries_.find(from); at != entries_.end(); ++at) read.push_back(at->second);
    if (read.empty()) return absl::OutOfRangeError("not in the log");
    return read;
  }
  void Restart(LogPosition base) override {
    std::lock_guard lock(mutex_);
    entries_.clear();
    base_ = base;
    journal_->Add(absl::StrCat("restart ", base.term.value(), "/", base.index.value()));
  }
  LogPosition Release(Index through) override {
    std::lock_guard lock(mutex_);
    const auto end = entries_.upper_bound(through);
    if (end != entries_.begin()) base_ = std::prev(end)->second->position();
    entries_.erase(entries_.begin(), end);
    journal_->Add(absl::StrCat("release ", through.value()));
    return base_;
  }

 private:
  Journal* const journal_;
  std::mutex mutex_;
  std::map<Index, EntryRef> entries_;
  LogPosition base_;
};

class FakePromises final : public PromiseStore {
 public:
  explicit FakePromises(Journal* journal) : journal_(journal) {}
  void SaveHardState(const HardState& hard_state) override {
    journal_->Add(absl::StrCat("promise t", hard_state.current_term.value(), " v",
                               hard_state.voted_for.value_or(kNobody).value()));
  }
  void LogSettled(LogPosition position) override {
    journal_->Add(absl::StrCat("settled ", position.index.value()));
  }

 private:
  Journal* const journal_;
};

// Keeps the commands; answers with "done " and the command.
class FakeMachine final : public StateMachine {
 public:
  explicit FakeMachine(LogPosition applied = {}) : applied_(applied) {}

  void Apply(std::span<const ApplyItem> items, std::vector<ApplyResult>* results) override {
    std::lock_guard lock(mutex_);
    ++batches_;
    for (const ApplyItem& item : items) {
      in_order_ = in_order_ && item.entry->index == applied_.index + 1;
      applied_ = item.entry->position();
      if (item.entry->kind == EntryKind::kCommand) commands_.push_back(item.entry->command);
      results->push_back({absl::OkStatus(),
                          item.response_wanted ? absl::StrCat("done ", item.entry->command) : ""});
    }
  }
  LogPosition applied() const override {
    std::lock_guard lock(mutex_);
    return applied_;
  }
  StateDigest digest() const override { return {}; }
  bool lost() const override {
    std::lock_guard lock(mutex_);
    return lost_;
  }
  void DeclareLost(const absl::Status&) const override {
    std::lock_guard lock(mutex_);
    lost_ = true;
  }
  // The snapshot that is called N holds all up to entry 1/N.
  absl::StatusOr<InstalledState> Install(uint64_t staged) override {
    std::lock_guard lock(mutex_);
    if (staged == 0) return absl::DataLossError("no such snapshot");
    lost_ = false;
    applied_ = {Term(1), Index(staged)};
    return InstalledState{applied_, Configuration({NodeId(1), NodeId(2), NodeId(3)}), Index(1)};
  }
  void Lose() {
    std::lock_guard lock(mutex_);
    lost_ = true;
  }

  std::vector<std::string> commands() const {
    std::lock_guard lock(mutex_);
    return commands_;
  }
  bool in_order() const {
    std::lock_guard lock(mutex_);
    return in_order_;
  }
  int batches() const {
    std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  mutable std::mutex mutex_;
  LogPosition applied_;
  std::vector<std::string> commands_;
  bool in_order_ = true;
  mutable bool lost_ = false;
  int batches_ = 0;
};

// Notes what it was asked for.
class FakeSnapshots final : public SnapshotTransport {
 public:
  explicit FakeSnapshots(Journal* journal) : journal_(journal) {}

  void SendSnapshot(NodeId peer, Term, Done done) override {
    journal_->Add(absl::StrCat("snapshot to ", peer.value()));
    done_ = std::move(done);
  }
  void Discard(uint64_t staged) override { journal_->Add(absl::StrCat("discard ", staged)); }

  Done TakeDone() { return std::exchange(done_, nullptr); }

 private:
  Journal* const journal_;
  Done done_;
};

// Notes each message by its name, and hands the bytes on if somebody wants them.
class FakeTransport final : public Transport {
 public:
  using Deliver = std::function<void(NodeId to, std::string bytes)>;
  explicit FakeTransport(Journal* journal, Deliver deliver = nullptr)
      : journal_(journal), deliver_(std::move(deliver)) {}

  void Send(NodeId to, std::string bytes) override {
    const absl::StatusOr<Envelope> envelope = DecodeEnvelope(bytes);
    journal_->Add(absl::StrCat("send ", envelope.ok() ? MessageName(envelope->message) : "garbage",
                               " to ", to.value()));
    if (deliver_) deliver_(to, std::move(bytes));
  }

 private:
  Journal* const journal_;
  const Deliver deliver_;
};

inline EntryRef MakeEntry(uint64_t term, uint64_t index, std::string command = "",
                          NodeId origin = kNobody, PublishId id = {}) {
  auto entry = std::make_shared<Entry>();
  entry->term = Term(term);
  entry->index = Index(index);
  entry->origin = origin;
  entry->publish_id = id;
  entry->command = std::move(command);
  return entry;
}

inline base::TimePoint Seconds(int64_t seconds) {
  return base::TimePoint(std::chrono::seconds(seconds));
}

}  // namespace raft
