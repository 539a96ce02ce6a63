// SPDX-License-Identifier: Apache-2.0
//
// request_applier.h: one decoded command becomes pending writes and a response.
//
// A pure function of what the log built and the request: no clock, no cache, no progress of
// background work, no option has a say in the result.
// Threads: the apply thread only.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "proto/etcd/raft_internal.pb.h"
#include "raft/core/types.h"
#include "store/answer_budget.h"
#include "store/applied_record.h"
#include "store/change_writer.h"
#include "store/cluster_record.h"
#include "store/key_space.h"
#include "store/lease.h"
#include "store/operations.h"
#include "store/pending_writes.h"

namespace store {

class RequestApplier {
 public:
  // What answers carry in their header, besides revision and term.
  struct Identity {
    uint64_t cluster_id = 0;
    uint64_t member_id = 0;
  };

  // All must outlive this. `history` reads through `pending`.
  RequestApplier(const Identity& identity, uint64_t answer_bytes_max, PendingWrites* pending,
                 History history, AppliedRecord* numbers, LeaseTable* leases,
                 ClusterRecord* cluster);

  // Encodes the response into `response` unless that is null.
  // Errors: those of errors.h are the request's result, and nothing was written. But
  //         kAnswerTooLarge, only where a response is wanted, is about that alone: all was
  //         written as on every other member. Any error that is not of errors.h is a failure of
  //         this member alone, after which it must not go on.
  absl::Status Apply(const etcdserverpb::InternalRaftRequest& request, raft::Term term,
                     std::string* response);

 private:
  absl::Status Range(const etcdserverpb::RangeRequest& range);
  absl::Status Put(const etcdserverpb::PutRequest& put);
  absl::Status DeleteRange(const etcdserverpb::DeleteRangeRequest& delete_range);
  absl::Status Txn(const etcdserverpb::TxnRequest& txn);
  absl::Status Compact(const etcdserverpb::CompactionRequest& compaction);
  absl::Status GrantLease(const etcdserverpb::LeaseGrantRequest& grant);
  absl::Status RevokeLease(const etcdserverpb::LeaseRevokeRequest& revoke);
  absl::Status ChangeAlarm(const etcdserverpb::AlarmRequest& request);
  // kCorrupt or, if `takes_space`, kNoSpace while such an alarm is raised.
  absl::Status CheckAlarms(bool takes_space) const;
  CheckScope Scope() const;

  // Fills in the header of `message` and encodes it. Errors: kAnswerTooLarge.
  template <typename Message>
  absl::Status Answer(Message* message);
  // Null if no response is wanted.
  template <typename Message>
  Message* Wanted(Message* message) const {
    return response_ == nullptr ? nullptr : message;
  }

  const Identity identity_;
  PendingWrites* const pending_;
  AppliedRecord* const numbers_;
  LeaseTable* const leases_;
  ClusterRecord* const cluster_;
  const KeySpace keys_;
  AnswerBudget budget_;
  ChangeWriter writer_;
  Operations operations_;
  // Of the request at hand.
  raft::Term term_;
  std::string* response_ = nullptr;
};

}  // namespace store
