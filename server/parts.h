// SPDX-License-Identifier: Apache-2.0
//
// parts.h: the two things that services work on, as they need them: the replica, which orders
// writes and says when a read is linearizable, and the state, which answers reads.
//
// Threads: any.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/time.h"
#include "proto/etcd/rpc.pb.h"
#include "raft/node/node.h"
#include "server/membership.h"
#include "store/etcd_snapshot.h"
#include "store/range_encoder.h"
#include "store/range_pages.h"

namespace server {

// raft::Node, or a fake of it.
class Replica {
 public:
  virtual ~Replica() = default;
  virtual void Publish(std::string command, base::TimePoint deadline, raft::PublishDone done) = 0;
  virtual void ChangeConfiguration(std::string command, raft::Index based_on,
                                   base::TimePoint deadline, raft::PublishDone done) = 0;
  virtual void TransferLeadership(raft::NodeId to) = 0;
  virtual void ReadIndex(base::TimePoint deadline, raft::ReadDone done) = 0;
  virtual void LocalRead(raft::ReadDone done) = 0;
  virtual raft::NodeStatus status() const = 0;
};

// store::KvMachine, or a fake of it. Reads as of one moment each; headers are filled.
class State {
 public:
  virtual ~State() = default;
  virtual absl::Status Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                             etcdserverpb::RangeResponse* response) const = 0;
  // Range, encoded (store/range_encoder.h).
  virtual absl::StatusOr<bool> EncodeRange(const etcdserverpb::RangeRequest& request,
                                           uint64_t raft_term, store::Grows grows,
                                           store::Pieces* pieces) const = 0;
  // Range, page by page (store/range_pages.h).
  virtual absl::StatusOr<std::unique_ptr<store::RangePages>> OpenPages(
      const etcdserverpb::RangeRequest& request) const = 0;
  virtual absl::StatusOr<bool> NextPage(store::RangePages* pages, int64_t keys_max,
                                        uint64_t bytes_max,
                                        etcdserverpb::RangeResponse* page) const = 0;
  virtual absl::Status ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                               etcdserverpb::TxnResponse* response) const = 0;
  // The whole of it as etcd's file (store/etcd_snapshot.h).
  virtual absl::StatusOr<std::unique_ptr<store::EtcdSnapshot>> PlanBackup(
      const std::string& version, base::FileSystem* files, const std::string& spool_path) const = 0;
  // Of all up to `revision`; a whole read of the store. The header is not filled.
  virtual absl::Status HashKv(int64_t revision, etcdserverpb::HashKVResponse* response) const = 0;
  // Of all that was ever applied.
  virtual uint64_t state_hash() const = 0;
  virtual int64_t revision() const = 0;
  virtual absl::StatusOr<std::vector<int64_t>> Leases() const = 0;
  virtual absl::StatusOr<std::vector<std::string>> KeysOfLease(int64_t lease) const = 0;
  // The term of the last entry that was applied.
  virtual raft::Term applied_term() const = 0;
  virtual Membership membership() const = 0;
  virtual std::vector<etcdserverpb::AlarmMember> alarms() const = 0;
  // Whether a member's disk is full: nothing is taken then that takes space.
  virtual bool no_space() const = 0;
  // Bytes of all that the store holds, which the quota bounds, and of what of it is
  // in use: what is not would come back by defragmenting.
  virtual int64_t size_bytes() const = 0;
  virtual int64_t size_in_use_bytes() const = 0;
};

}  // namespace server
