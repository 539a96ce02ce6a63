// SPDX-License-Identifier: Apache-2.0
//
// kv_machine.h: the state machine: etcd's key-value store, built by the log.
//
// Threads: Apply and Install from the apply thread; CompactStep and FlushIfDue from one background
//          thread; everything else from any. Reads go to a shared view and wait for nobody.
// Errors:  a request's refusal is in its result or returned (errors.h). A state that is damaged is
//          lost: nothing of it is served any more and nothing applied to it, until an Install.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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
#include "store/backing.h"
#include "store/change_batch.h"
#include "store/cluster_record.h"
#include "store/engine.h"
#include "store/etcd_snapshot.h"
#include "store/history.h"
#include "store/lease.h"
#include "store/range_encoder.h"
#include "store/range_pages.h"
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
  // The same on all members.
  uint64_t digest_interval = raft::kDigestInterval;
};

class KvMachine final : public raft::StateMachine, public ChangeReader {
 public:
  // Opens the state that was staged under that name. A crash still finds the old one.
  using TakeStaged = std::function<absl::StatusOr<std::unique_ptr<Engine>>(uint64_t staged)>;
  using OnDamage = std::function<void(const absl::Status&)>;

  // Loads what the engine holds. Errors: what the engine's reads return, DataLoss.
  static absl::StatusOr<std::unique_ptr<KvMachine>> Open(std::unique_ptr<Engine> engine,
                                                         const KvMachineOptions& options);
  // A machine whose state could not be opened: it stands at 0/0, lost, and waits for an Install.
  static std::unique_ptr<KvMachine> OpenLost(const KvMachineOptions& options);
  // Does not flush.
  ~KvMachine() override;

  void Apply(std::span<const raft::ApplyItem> items,
             std::vector<raft::ApplyResult>* results) override;
  raft::LogPosition applied() const override;
  raft::StateDigest digest() const override { return view()->numbers.digest; }
  bool lost() const override { return lost_.load(std::memory_order_acquire); }
  // Errors: Unimplemented without set_take_staged; what that returns; as below.
  absl::StatusOr<raft::InstalledState> Install(uint64_t staged) override;

  // The state becomes what `engine` holds; reads that have begun end on the old one.
  // Errors: what the engine's reads return, DataLoss; FailedPrecondition if it is older than a
  //         state that is not lost. The old state stays then.
  absl::Status Install(std::unique_ptr<Engine> engine);
  // All of these before the node starts.
  void set_take_staged(TakeStaged take_staged) { take_staged_ = std::move(take_staged); }
  // Called when a staged state was opened and found good, before anything is read from it, with
  // where it stands: makes it this member's, durably.
  using KeepStaged = std::function<void(raft::LogPosition)>;
  void set_keep_staged(KeepStaged keep_staged) { keep_staged_ = std::move(keep_staged); }
  // Called after each Install of a staged state: the files of the one before may go.
  void set_on_installed(std::function<void()> on_installed) {
    on_installed_ = std::move(on_installed);
  }
  // Hears of all changes from then on; must outlive the machine's last Apply.
  void set_observer(ChangeObserver* observer) { observer_ = observer; }
  // Called once when the state is lost, from the thread that met the damage.
  void set_on_damage(OnDamage on_damage) { on_damage_ = std::move(on_damage); }
  // Called on the apply thread with the writes of each batch, once they can be read and before
  // they are answered. Must not block. Set before the node starts.
  using OnCommit = std::function<void(std::span<const WriteOperation>, const AppliedRecord&)>;
  void set_on_commit(OnCommit on_commit) { on_commit_ = std::move(on_commit); }
  void DeclareLost(const absl::Status& why) const override;

  // The leases as they are now, and the keys on one. Errors: as Range.
  absl::StatusOr<LeaseTtls> Leases() const;
  absl::StatusOr<std::vector<std::string>> KeysOfLease(int64_t lease) const;

  // Local reads at the newest state; linearizable only after a ReadIndex (raft/node/node.h).
  // The header shows `raft_term` and exactly the revision that was read.
  // Errors: kCompacted, kFutureRevision, kAnswerTooLarge, and for a Txn what CheckTxn says;
  //         DataLoss from the read that meets damage, Unavailable from those behind it.
  absl::Status Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                     etcdserverpb::RangeResponse* response) const;
  absl::Status ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                       etcdserverpb::TxnResponse* response) const;
  // Range, encoded as it is read (range_encoder.h). False if `grows` said no.
  absl::StatusOr<bool> EncodeRange(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                                   Grows grows, Pieces* pieces) const;
  // Range, page by page. Requires: as RangePages. Errors: as Range.
  absl::StatusOr<std::unique_ptr<RangePages>> OpenPages(
      const etcdserverpb::RangeRequest& request) const;
  // The next page; what RangePages::Next returns, and damage is told of.
  absl::StatusOr<bool> NextPage(RangePages* pages, int64_t keys_max, uint64_t bytes_max,
                                etcdserverpb::RangeResponse* page) const;

  // For those who watch (change_batch.h).
  absl::StatusOr<ChangeBatch> ReadChanges(int64_t from, int64_t through,
                                          size_t bytes_max) const override;
  absl::StatusOr<bool> ReadPrevious(Revision revision, const Change& change,
                                    OnDatum on_datum) const override;

  // The store as it is now, as etcd's file (etcd_snapshot.h); `version` is etcd's, "3.7.0".
  // Errors: Unavailable if the state is lost; as EtcdSnapshot.
  absl::StatusOr<std::unique_ptr<EtcdSnapshot>> PlanEtcdSnapshot(
      const std::string& version, base::FileSystem* files, const std::string& spool_path) const;

  // Of all up to `revision` (kv_hash.h), kNewest for the newest. Takes as long as a read of it all.
  // Errors: kCompacted, kFutureRevision, as reads.
  struct Hash {
    uint32_t hash = 0;
    int64_t revision = 0;
    int64_t compact_revision = 0;
    // The newest, for the header.
    int64_t newest_revision = 0;
  };
  absl::StatusOr<Hash> HashKv(int64_t revision) const;

  int64_t revision() const override { return view()->numbers.revision; }
  // kNeverCompacted at first.
  int64_t compact_revision() const override { return view()->numbers.compact_revision; }
  // What is below it is gone from this member.
  int64_t dropped_to() const { return view()->backing->compaction.dropped_to()->load(); }
  // Equal on members that stand at the same applied index.
  uint64_t state_hash() const { return view()->numbers.state_hash; }
  // Keys and values of the live datums; the same on every member.
  uint64_t logical_bytes() const;
  // What the quota bounds (AppliedRecord::size_bytes); the same on every member.
  uint64_t size_bytes() const { return static_cast<uint64_t>(view()->numbers.size_bytes()); }
  uint64_t physical_bytes() const { return view()->backing->engine->PhysicalBytes(); }
  std::vector<Alarm> alarms() const { return cluster_.alarms(AlarmKind::kNone); }
  bool no_space() const { return cluster_.Raised(AlarmKind::kNoSpace); }
  // As it was when the newest change was applied.
  Membership membership() const { return cluster_.membership(); }

  // The background work of compactions, up to `records_max` changes of it. True if there is more.
  // Errors: what the engine's reads return, DataLoss.
  absl::StatusOr<bool> CompactStep(size_t records_max);

  // Looks at the files of the state; a state whose files are damaged is lost. Threads: background.
  absl::Status CheckFiles();

  // Flushes if that is due (KvMachineOptions). True if it flushed.
  bool FlushIfDue(base::TimePoint now);
  // Promises: what is applied survives a crash, and the log before it may go.
  void Flush();
  // The position a crash now would go back to. Errors: what the engine's reads return.
  absl::StatusOr<raft::LogPosition> persisted_applied() const;
  // Errors: as Engine::Checkpoint; Unavailable if the state is lost.
  absl::Status Checkpoint(const std::string& directory);

 private:
  // What the apply thread builds with; made anew with each state.
  struct Workbench;

  explicit KvMachine(const KvMachineOptions& options);

  // `keep` is called, if it is there, once nothing can fail any more.
  absl::Status Load(std::unique_ptr<Engine> engine, const KeepStaged& keep);
  absl::Status Install(std::unique_ptr<Engine> engine, const KeepStaged& keep);
  absl::Status ApplyEntry(const raft::ApplyItem& item, std::string* response);
  // False once the state is lost.
  bool ApplyItems(std::span<const raft::ApplyItem> items, std::vector<raft::ApplyResult>* results);
  void ChainHash(const raft::Entry& entry, const absl::Status& result, size_t first_operation);
  // Writes the batch and shows it to readers. False if the engine has met damage.
  bool Commit();
  void TellObserver(int64_t revision_before) const;
  // Passes `status` on; DataLoss costs the state, if that is still the one it was met in.
  absl::Status Checked(absl::Status status, const Backing& met_in) const;
  void DeclareLost(const absl::Status& why, const Backing* met_in) const;
  absl::Status CheckNotLost() const;
  absl::Status ReadRangeOf(const View& view, const etcdserverpb::RangeRequest& request,
                           etcdserverpb::RangeResponse* response) const;
  absl::Status ReadTxnOf(const View& view, const etcdserverpb::TxnRequest& request,
                         etcdserverpb::TxnResponse* response) const;
  std::shared_ptr<const View> view() const;
  // One whose compaction is held; the caller releases it.
  std::shared_ptr<const View> HoldView() const;
  void Publish(std::shared_ptr<const View> view);

  const KvMachineOptions options_;
  TakeStaged take_staged_;
  KeepStaged keep_staged_;
  std::function<void()> on_installed_;
  OnDamage on_damage_;
  ChangeObserver* observer_ = nullptr;
  OnCommit on_commit_;
  ClusterRecord cluster_;
  // Of the apply thread.
  std::unique_ptr<Workbench> bench_;

  mutable std::atomic<bool> lost_{false};
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
