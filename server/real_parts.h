// SPDX-License-Identifier: Apache-2.0
//
// real_parts.h: the replica and the state that users run: raft::Node and store::KvMachine.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "raft/node/node.h"
#include "server/parts.h"
#include "store/kv_machine.h"

namespace server {

class NodeReplica final : public Replica {
 public:
  explicit NodeReplica(raft::Node* node) : node_(node) {}
  void Publish(std::string command, base::TimePoint deadline, raft::PublishDone done) override {
    node_->Publish(std::move(command), deadline, std::move(done));
  }
  void ChangeConfiguration(std::string command, raft::Index based_on, base::TimePoint deadline,
                           raft::PublishDone done) override {
    node_->ChangeConfiguration(std::move(command), based_on, deadline, std::move(done));
  }
  void TransferLeadership(raft::NodeId to) override { node_->TransferLeadership(to); }
  void ReadIndex(base::TimePoint deadline, raft::ReadDone done) override {
    node_->ReadIndex(deadline, std::move(done));
  }
  void LocalRead(raft::ReadDone done) override { node_->LocalRead(std::move(done)); }
  raft::NodeStatus status() const override { return node_->status(); }

 private:
  raft::Node* const node_;
};

class MachineState final : public State {
 public:
  explicit MachineState(const store::KvMachine* machine) : machine_(machine) {}
  absl::Status Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                     etcdserverpb::RangeResponse* response) const override {
    return machine_->Range(request, raft_term, response);
  }
  absl::StatusOr<bool> EncodeRange(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                                   store::Grows grows, store::Pieces* pieces) const override {
    return machine_->EncodeRange(request, raft_term, grows, pieces);
  }
  absl::StatusOr<std::unique_ptr<store::RangePages>> OpenPages(
      const etcdserverpb::RangeRequest& request) const override {
    return machine_->OpenPages(request);
  }
  absl::StatusOr<bool> NextPage(store::RangePages* pages, int64_t keys_max, uint64_t bytes_max,
                                etcdserverpb::RangeResponse* page) const override {
    return machine_->NextPage(pages, keys_max, bytes_max, page);
  }
  absl::Status ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                       etcdserverpb::TxnResponse* response) const override {
    return machine_->ReadTxn(request, raft_term, response);
  }
  absl::StatusOr<std::unique_ptr<store::EtcdSnapshot>> PlanBackup(
      const std::string& version, base::FileSystem* files,
      const std::string& spool_path) const override {
    return machine_->PlanEtcdSnapshot(version, files, spool_path);
  }
  absl::Status HashKv(int64_t revision, etcdserverpb::HashKVResponse* response) const override;
  uint64_t state_hash() const override { return machine_->state_hash(); }
  int64_t revision() const override { return machine_->revision(); }
  absl::StatusOr<std::vector<int64_t>> Leases() const override;
  absl::StatusOr<std::vector<std::string>> KeysOfLease(int64_t lease) const override {
    return machine_->KeysOfLease(lease);
  }
  raft::Term applied_term() const override { return machine_->applied().term; }
  Membership membership() const override;
  std::vector<etcdserverpb::AlarmMember> alarms() const override;
  bool no_space() const override { return machine_->no_space(); }
  int64_t size_bytes() const override { return static_cast<int64_t>(machine_->size_bytes()); }
  int64_t size_in_use_bytes() const override {
    // What is not in use would come back by defragmenting: here that is nothing.
    return static_cast<int64_t>(machine_->size_bytes());
  }

 private:
  const store::KvMachine* const machine_;
};

}  // namespace server
