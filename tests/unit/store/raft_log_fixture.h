// SPDX-License-Identifier: Apache-2.0
//
// raft_log_fixture.h: a Raft log on simulated files, for its tests.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/simulated_file.h"
#include "gtest/gtest.h"
#include "store/raft_log.h"

namespace store {

inline raft::EntryRef MakeEntry(uint64_t term, uint64_t index, std::string command) {
  auto entry = std::make_shared<raft::Entry>();
  entry->term = raft::Term(term);
  entry->index = raft::Index(index);
  entry->origin = raft::NodeId(7);
  entry->publish_id = raft::PublishId(index * 10);
  entry->command = std::move(command);
  return entry;
}

class RaftLogTest : public testing::Test {
 protected:
  RaftLogTest() { files_.set_sectors_atomic(true); }

  RaftLogOptions Options() {
    RaftLogOptions options;
    options.directory = "log";
    options.segment_bytes = segment_bytes_;
    options.log_reserve_bytes = reserve_bytes_;
    options.keep_after = raft::Index(keep_after_);
    options.must_exist = must_exist_;
    options.random_seed = ++seed_;
    if (accept_damage_) {
      options.on_damage = [this](const std::string& damage) {
        damage_noted_ = damage;
        return damage_answer_;
      };
    }
    return options;
  }
  absl::Status TryOpen() {
    log_.reset();
    damage_noted_.clear();
    auto log = RaftLog::Open(&files_, Options(), &contents_);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    return absl::OkStatus();
  }
  void Open(uint64_t keep_after = 0) {
    keep_after_ = keep_after;
    const absl::Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status;
  }
  void Append(std::vector<raft::EntryRef> entries) {
    log_->Append(entries);
    log_->Sync();
  }
  std::string ReadAll(uint64_t from) {
    std::string text;
    auto entries = log_->Read(raft::Index(from), 1 << 30);
    if (!entries.ok()) return entries.status().ToString();
    for (const raft::EntryRef& entry : *entries) {
      text += std::to_string(entry->term.value()) + "/" + std::to_string(entry->index.value()) +
              "=" + entry->command + " ";
    }
    return text;
  }
  std::string Names() {
    std::string text;
    const std::vector<std::string> names = files_.List("log").value();
    for (const std::string& name : names) text += name + " ";
    return text;
  }
  std::string FirstSegment() { return "log/0000000000000001.log"; }

  base::SimulatedFileSystem files_;
  base::Random random_{1};
  uint64_t segment_bytes_ = 64 << 10;
  uint64_t reserve_bytes_ = 0;
  uint64_t seed_ = 0;
  uint64_t keep_after_ = 0;
  bool must_exist_ = false;
  bool accept_damage_ = false;
  absl::Status damage_answer_;
  std::string damage_noted_;
  RaftLogContents contents_;
  std::unique_ptr<RaftLog> log_;
};

}  // namespace store
