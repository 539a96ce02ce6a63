// SPDX-License-Identifier: Apache-2.0
//
// kv_machine.h: the state machine: etcd's key-value store, built by the log.
//
// Threads: Apply from the apply thread; CompactStep and FlushIfDue from one background thread;
//          everything else from any. Reads go to a shared view and wait for nobody.
// Errors:  a request's refusal is in its result or returned (errors.h). What this member alone
//          fails at while applying ends the process; while reading it is returned.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "proto/etcd/raft_internal.pb.h"
#include "proto/etcd/rpc.pb.h"
#include "raft/node/ports.h"
#include "store/cluster_record.h"
#include "store/compaction.h"
#include "store/datum_cache.h"
#include "store/engine.h"
#include "store/lease.h"
#include "store/pending_writes.h"
#include "store/request_applier.h"
#include "store/view.h"

namespace store {

struct KvMachineOptions {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  size_t datum_cache_bytes = 64 << 20;
  // A flush is due after so many bytes of applied commands, or so long after the first of them.
  uint64_t flush_bytes = 256 << 20;
  base::Duration flush_interval = std::chrono::minutes(5);
  // A longer answer is not sent. It is built, encoded, in memory and in one piece, and protobuf
  // encodes less than 2 GiB.
  uint64_t answer_bytes_max = 512 << 20;
};

class KvMachine final : public raft::StateMachine {
 public:
  // Loads what the engine holds. Errors: what the engine's reads return, DataLoss.
  static absl::StatusOr<std::unique_ptr<KvMachine>> Open(std::unique_ptr<Engine> engine,
                                                         const KvMachineOptions& options);
  // Does not flush.
  ~KvMachine() override;

  void Apply(std::span<const raft::ApplyItem> items,
             std::vector<raft::ApplyResult>* results) override;
  raft::LogPosition applied() const override;
  raft::StateDigest digest() const override { return {}; }
  bool lost() const override { return false; }
  absl::StatusOr<raft::InstalledState> Install(uint64_t) override {
    return absl::UnimplementedError("install");
  }

  // Local reads at the newest state; linearizable only after a ReadIndex (raft/node/node.h).
  // The header shows `raft_term` and exactly the revision that was read.
  // Errors: kCompacted, kFutureRevision, kAnswerTooLarge, and for a Txn what CheckTxn says.
  absl::Status Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                     etcdserverpb::RangeResponse* response) const;
  absl::Status ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                       etcdserverpb::TxnResponse* response) const;

  int64_t revision() const { return view()->numbers.revision; }
  // kNeverCompacted at first.
  int64_t compact_revision() const { return view()->numbers.compact_revision; }
  // Equal on members that stand at the same applied index.
  uint32_t state_hash() const { return view()->numbers.state_hash; }
  // Keys and values of the live datums; the same on every member.
  uint64_t logical_bytes() const;
  uint64_t physical_bytes() const { return engine_->PhysicalBytes(); }
  std::vector<MemberAttributes> members() const { return cluster_.members(); }
  std::vector<Alarm> alarms() const { return cluster_.alarms(AlarmKind::kNone); }

  // The background work of compactions, up to `records_max` changes of it. True if there is more.
  // Errors: what the engine's reads return, DataLoss.
  absl::StatusOr<bool> CompactStep(size_t records_max) { return compaction_->Step(records_max); }

  // Flushes if that is due (KvMachineOptions). True if it flushed.
  bool FlushIfDue(base::TimePoint now);
  // Promises: what is applied survives a crash, and the log before it may go.
  void Flush();
  // The position a crash now would go back to. Errors: what the engine's reads return.
  absl::StatusOr<raft::LogPosition> persisted_applied() const;
  // Errors: as Engine::Checkpoint.
  absl::Status Checkpoint(const std::string& directory) { return engine_->Checkpoint(directory); }

 private:
  KvMachine(std::unique_ptr<Engine> engine, const KvMachineOptions& options,
            const AppliedRecord& numbers, int64_t dropped_to);

  absl::Status ApplyEntry(const raft::ApplyItem& item, std::string* response);
  // Writes the batch and shows it to readers.
  void Commit();
  std::shared_ptr<const View> view() const;
  void Publish(std::shared_ptr<const View> view);
  // The newest records of changes, which reads in the past follow.
  History NewestHistory() const { return {engine_.get(), compaction_->dropped_to()}; }

  const KvMachineOptions options_;
  const std::unique_ptr<Engine> engine_;
  const std::unique_ptr<DatumCache> cache_;
  const std::unique_ptr<Compaction> compaction_;
  ClusterRecord cluster_;

  // Of the apply thread.
  AppliedRecord numbers_;
  LeaseTable leases_;
  CachedReader newest_;
  PendingWrites pending_;
  RequestApplier applier_;
  etcdserverpb::InternalRaftRequest request_;

  mutable std::mutex view_mutex_;
  // Guarded by view_mutex_; never null after Open.
  std::shared_ptr<const View> view_;

  // Command bytes that were applied since the last flush.
  std::atomic<uint64_t> unflushed_bytes_{0};
  std::atomic<uint64_t> unflushed_entries_{0};
  // Of the background thread: when it first saw something unflushed.
  std::optional<base::TimePoint> unflushed_since_;
};

}  // namespace store
