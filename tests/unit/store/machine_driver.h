// SPDX-License-Identifier: Apache-2.0
//
// machine_driver.h: a KvMachine on the memory engine, driven command by command in tests.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "store/kv_machine.h"
#include "store/memory_engine.h"

namespace store {

class MachineDriver {
 public:
  static constexpr uint64_t kTerm = 4;

  MachineDriver() { Open(); }
  explicit MachineDriver(uint64_t answer_bytes_max) : answer_bytes_max_(answer_bytes_max) {
    Open();
  }

  KvMachine* operator->() { return machine_.get(); }

  // Ends the machine and goes back to the last flush; the caller applies the rest again.
  void Crash() {
    machine_.reset();
    disk_->Crash();
    Open();
  }

  raft::ApplyItem Item(std::string command, raft::EntryKind kind = raft::EntryKind::kCommand) {
    auto entry = std::make_shared<raft::Entry>();
    entry->index = machine_->applied().index + 1;
    entry->term = raft::Term(kTerm);
    entry->kind = kind;
    entry->command = std::move(command);
    return {entry, true};
  }

  raft::ApplyResult ApplyBytes(std::string command) {
    const raft::ApplyItem item = Item(std::move(command));
    std::vector<raft::ApplyResult> results;
    machine_->Apply({&item, 1}, &results);
    return results.at(0);
  }

  // An entry that leads to `configuration`, with the change that the state sees.
  raft::ApplyResult Change(const datum::membership::MembershipChange& change,
                           const raft::Configuration& configuration) {
    const raft::ApplyItem item =
        Item(raft::EncodeConfigurationCommand(configuration, change.SerializeAsString()),
             raft::EntryKind::kConfiguration);
    std::vector<raft::ApplyResult> results;
    machine_->Apply({&item, 1}, &results);
    return results.at(0);
  }

  MemoryDisk* disk() { return disk_.get(); }
  // Goes on from a copy of its own state, as if it had come by a snapshot.
  absl::Status MoveToCopy() {
    machine_->Flush();
    const auto disk = MemoryDisk::Import(disk_->Export());
    if (!disk.ok()) return disk.status();
    disk_ = *disk;
    return machine_->Install(std::make_unique<MemoryEngine>(disk_));
  }
  // An engine of its own on what this one's last flush holds.
  std::unique_ptr<Engine> CopyOfState() {
    machine_->Flush();
    auto disk = MemoryDisk::Import(disk_->Export());
    EXPECT_TRUE(disk.ok()) << disk.status();
    return std::make_unique<MemoryEngine>(*disk);
  }

  raft::ApplyResult Apply(const etcdserverpb::InternalRaftRequest& request) {
    return ApplyBytes(request.SerializeAsString());
  }

  absl::Status Put(const std::string& key, const std::string& value, int64_t lease = 0) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_put()->set_key(key);
    request.mutable_put()->set_value(value);
    request.mutable_put()->set_lease(lease);
    return Apply(request).status;
  }

  etcdserverpb::DeleteRangeResponse Delete(const std::string& key,
                                           const std::string& range_end = "") {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_delete_range()->set_key(key);
    request.mutable_delete_range()->set_range_end(range_end);
    return Answer<etcdserverpb::DeleteRangeResponse>(request);
  }

  absl::Status Compact(int64_t revision) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_compaction()->set_revision(revision);
    return Apply(request).status;
  }

  template <typename Response>
  Response Answer(const etcdserverpb::InternalRaftRequest& request) {
    const raft::ApplyResult result = Apply(request);
    EXPECT_TRUE(result.status.ok()) << result.status;
    Response response;
    EXPECT_TRUE(response.ParseFromString(result.response));
    return response;
  }

  etcdserverpb::RangeResponse Range(const etcdserverpb::RangeRequest& request) {
    etcdserverpb::RangeResponse response;
    const absl::Status status = machine_->Range(request, kTerm, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  etcdserverpb::RangeResponse Get(const std::string& key, int64_t revision = 0) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_revision(revision);
    return Range(request);
  }

  absl::Status RangeStatus(int64_t revision) {
    etcdserverpb::RangeRequest request;
    request.set_key("a");
    request.set_revision(revision);
    etcdserverpb::RangeResponse response;
    return machine_->Range(request, kTerm, &response);
  }

  void FinishCompaction() {
    while (true) {
      auto more = machine_->CompactStep(100);
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) return;
    }
  }

 private:
  void Open() {
    KvMachineOptions options;
    options.cluster_id = 11;
    options.member_id = 22;
    options.flush_bytes = 1000;
    options.answer_bytes_max = answer_bytes_max_;
    auto machine = KvMachine::Open(std::make_unique<MemoryEngine>(disk_), options);
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
  }

  const uint64_t answer_bytes_max_ = KvMachineOptions().answer_bytes_max;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<KvMachine> machine_;
};

// The keys of a response, one string.
inline std::string KeysIn(const etcdserverpb::RangeResponse& response) {
  std::string keys;
  for (const auto& kv : response.kvs()) keys += kv.key();
  return keys;
}

}  // namespace store
