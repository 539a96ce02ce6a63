// SPDX-License-Identifier: Apache-2.0

#include "store/kv_machine.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "google/protobuf/io/coded_stream.h"
#include "store/command.h"
#include "store/errors.h"
#include "store/key_space.h"
#include "store/kv_hash.h"
#include "store/lease.h"
#include "store/membership_applier.h"
#include "store/memory_engine.h"
#include "store/operations.h"
#include "store/pending_writes.h"
#include "store/range.h"
#include "store/request_applier.h"
#include "store/state_hash.h"
#include "store/txn.h"

namespace store {
namespace {

absl::StatusOr<int64_t> LoadDroppedTo(const Engine& engine) {
  int64_t dropped_to = kNeverCompacted;
  ASSIGN_OR_RETURN(const bool found,
                   engine.Get(Family::kApplied, kDroppedToName, [&](std::string_view bytes) {
                     if (bytes.size() == 8) {
                       dropped_to = static_cast<int64_t>(DecodeFixed64(bytes.data()));
                     }
                   }));
  VLOG(1) << (found ? "dropped to revision " : "never dropped, ") << dropped_to;
  return dropped_to;
}

absl::StatusOr<AppliedRecord> DecodeFound(absl::FunctionRef<absl::StatusOr<bool>(OnValue)> get) {
  AppliedRecord numbers;
  absl::Status decoded;
  const auto on_value = [&](std::string_view bytes) {
    auto record = DecodeAppliedRecord(bytes);
    decoded = record.status();
    if (record.ok()) numbers = *record;
  };
  RETURN_IF_ERROR(get(on_value).status());
  RETURN_IF_ERROR(decoded);
  return numbers;
}

void FillHeader(const KvMachineOptions& options, int64_t revision, uint64_t raft_term,
                etcdserverpb::ResponseHeader* header) {
  header->set_cluster_id(options.cluster_id);
  header->set_member_id(options.member_id);
  header->set_revision(revision);
  header->set_raft_term(raft_term);
}

bool DecodeCommand(std::string_view bytes, etcdserverpb::InternalRaftRequest* request) {
  if (bytes.size() > std::numeric_limits<int32_t>::max()) return false;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kCommandNestingMax);
  return request->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

// What apply writes there is the same on every member. In the other families it writes the same
// again, or what depends on how far a compaction's background work has come.
bool IsHashed(Family family) {
  return family == Family::kRevision || family == Family::kLease || family == Family::kLeaseKey ||
         family == Family::kAuth || family == Family::kApplied;
}

// The newest records of changes, which reads in the past follow.
History NewestHistory(const View& view) {
  return {view.backing->engine.get(), view.backing->compaction.dropped_to()};
}

absl::Status LostError() {
  return absl::UnavailableError(
      "datum: the state of this member is damaged and is being rebuilt from its peers");
}

}  // namespace

struct KvMachine::Workbench {
  Workbench(std::shared_ptr<Backing> kept_in, const KvMachineOptions& options,
            const AppliedRecord& found, ClusterRecord* cluster)
      : backing(std::move(kept_in)),
        numbers(found),
        newest(backing->engine.get(), &backing->cache, numbers.revision),
        pending(&newest),
        requests({options.cluster_id, options.member_id}, options.answer_bytes_max, &pending,
                 History(&pending, backing->compaction.dropped_to()), &numbers, &leases, cluster),
        memberships({options.cluster_id, options.member_id}, &pending, cluster) {}

  const std::shared_ptr<Backing> backing;
  AppliedRecord numbers;
  LeaseTable leases;
  CachedReader newest;
  PendingWrites pending;
  RequestApplier requests;
  MembershipApplier memberships;
  etcdserverpb::InternalRaftRequest request;
};

KvMachine::KvMachine(const KvMachineOptions& options) : options_(options) {}

KvMachine::~KvMachine() = default;

absl::StatusOr<std::unique_ptr<KvMachine>> KvMachine::Open(std::unique_ptr<Engine> engine,
                                                           const KvMachineOptions& options) {
  std::unique_ptr<KvMachine> machine(new KvMachine(options));
  RETURN_IF_ERROR(machine->Load(std::move(engine), nullptr));
  return machine;
}

std::unique_ptr<KvMachine> KvMachine::OpenLost(const KvMachineOptions& options) {
  auto machine =
      Open(std::make_unique<MemoryEngine>(std::make_shared<MemoryDisk>()), options).value();
  machine->lost_.store(true);
  return machine;
}

absl::Status KvMachine::Load(std::unique_ptr<Engine> engine, const KeepStaged& keep) {
  ASSIGN_OR_RETURN(const AppliedRecord numbers, DecodeFound([&](OnValue on_value) {
                     return engine->Get(Family::kApplied, kPositionName, on_value);
                   }));
  ASSIGN_OR_RETURN(const int64_t dropped_to, LoadDroppedTo(*engine));
  auto backing =
      std::make_shared<Backing>(std::move(engine), options_.datum_cache_bytes, dropped_to);
  auto bench = std::make_unique<Workbench>(backing, options_, numbers, &cluster_);
  RETURN_IF_ERROR(bench->leases.Load(*backing->engine));
  ClusterRecord cluster;
  RETURN_IF_ERROR(cluster.Load(*backing->engine));
  if (numbers.compact_revision > dropped_to) {
    backing->compaction.Request(numbers.compact_revision, numbers.compacted_at);
  }
  // From here on nothing fails.
  if (keep) keep(numbers.applied);
  cluster_.TakeFrom(&cluster);
  bench_ = std::move(bench);
  auto view = std::make_shared<const View>(View{backing, backing->engine->NewView(), numbers});
  std::lock_guard<std::mutex> lock(view_mutex_);
  view_.swap(view);
  lost_.store(false, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status KvMachine::Install(std::unique_ptr<Engine> engine) {
  return Install(std::move(engine), nullptr);
}

absl::Status KvMachine::Install(std::unique_ptr<Engine> engine, const KeepStaged& keep) {
  const raft::LogPosition old_position = applied();
  const std::shared_ptr<Backing> old = bench_->backing;
  const int64_t old_revision = revision();
  ASSIGN_OR_RETURN(const AppliedRecord numbers, DecodeFound([&](OnValue on_value) {
                     return engine->Get(Family::kApplied, kPositionName, on_value);
                   }));
  if (!lost() && numbers.applied.index < old_position.index) {
    return absl::FailedPreconditionError(
        absl::StrCat("a state at entry ", numbers.applied.index.value(),
                     " cannot take the place of one at entry ", old_position.index.value()));
  }
  RETURN_IF_ERROR(Load(std::move(engine), keep));
  unflushed_bytes_.store(0, std::memory_order_relaxed);
  unflushed_entries_.store(0, std::memory_order_relaxed);
  old->engine->Retire();
  if (observer_ != nullptr) observer_->OnInstall(old_revision, revision());
  return absl::OkStatus();
}

absl::StatusOr<raft::InstalledState> KvMachine::Install(uint64_t staged) {
  if (!take_staged_) return absl::UnimplementedError("nothing is staged for this machine");
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, take_staged_(staged));
  RETURN_IF_ERROR(Install(std::move(engine), keep_staged_));
  if (on_installed_) on_installed_();
  const Membership membership = cluster_.membership();
  return raft::InstalledState{applied(), membership.configuration, membership.index};
}

void KvMachine::DeclareLost(const absl::Status& why) const { DeclareLost(why, nullptr); }

void KvMachine::DeclareLost(const absl::Status& why, const Backing* met_in) const {
  {
    std::lock_guard<std::mutex> lock(view_mutex_);
    if (met_in != nullptr && view_->backing.get() != met_in) return;
    if (lost_.exchange(true, std::memory_order_acq_rel)) return;
  }
  LOG(ERROR) << "the state of this member is lost: " << why;
  if (on_damage_) on_damage_(why);
}

absl::Status KvMachine::Checked(absl::Status status, const Backing& met_in) const {
  // kCorrupt, the alarm's, says nothing of this member.
  if (absl::IsDataLoss(status) && !ErrorOf(status).has_value()) DeclareLost(status, &met_in);
  return status;
}

absl::Status KvMachine::CheckNotLost() const { return lost() ? LostError() : absl::OkStatus(); }

void KvMachine::Apply(std::span<const raft::ApplyItem> items,
                      std::vector<raft::ApplyResult>* results) {
  results->clear();
  results->resize(items.size());
  if (items.empty()) return;
  const int64_t compact_revision = bench_->numbers.compact_revision;
  if (lost() || !ApplyItems(items, results) || !Commit()) {
    // What was applied before in this batch is gone with it.
    results->assign(items.size(), raft::ApplyResult{LostError(), ""});
    return;
  }
  if (bench_->numbers.compact_revision != compact_revision) {
    bench_->backing->compaction.Request(bench_->numbers.compact_revision,
                                        bench_->numbers.compacted_at);
  }
  uint64_t bytes = 0;
  for (const raft::ApplyItem& item : items) bytes += item.entry->command.size();
  unflushed_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  unflushed_entries_.fetch_add(items.size(), std::memory_order_relaxed);
}

bool KvMachine::ApplyItems(std::span<const raft::ApplyItem> items,
                           std::vector<raft::ApplyResult>* results) {
  AppliedRecord& numbers = bench_->numbers;
  for (size_t i = 0; i < items.size(); ++i) {
    const raft::Entry& entry = *items[i].entry;
    CHECK_EQ(entry.index, numbers.applied.index + 1) << "entries must come without gaps";
    raft::ApplyResult& result = (*results)[i];
    const size_t first_operation = bench_->pending.operations().size();
    result.status = ApplyEntry(items[i], items[i].response_wanted ? &result.response : nullptr);
    if (!result.status.ok()) {
      if (!ErrorOf(result.status).has_value()) {
        if (!absl::IsDataLoss(result.status)) {
          LOG(FATAL) << "cannot apply entry " << entry.position() << ": " << result.status;
        }
        DeclareLost(result.status);
        return false;
      }
      result.response.clear();
    }
    numbers.applied = entry.position();
    ChainHash(entry, result.status, first_operation);
  }
  return true;
}

absl::Status KvMachine::ApplyEntry(const raft::ApplyItem& item, std::string* response) {
  const raft::Entry& entry = *item.entry;
  switch (entry.kind) {
    case raft::EntryKind::kLeaderStart:
      return absl::OkStatus();
    case raft::EntryKind::kConfiguration:
      return bench_->memberships.Apply(entry, response);
    case raft::EntryKind::kCommand:
      break;
  }
  etcdserverpb::InternalRaftRequest& request = bench_->request;
  request.Clear();
  if (!DecodeCommand(entry.command, &request)) {
    LOG(ERROR) << "entry " << entry.position() << " holds no request";
    return ErrorStatus(Error::kUndecodable);
  }
  if (request.has_cluster_member_attr_set()) {
    return bench_->memberships.Publish(request.cluster_member_attr_set());
  }
  return bench_->requests.Apply(request, entry.term, response);
}

void KvMachine::ChainHash(const raft::Entry& entry, const absl::Status& result,
                          size_t first_operation) {
  AppliedRecord& numbers = bench_->numbers;
  StateHash hash(numbers.state_hash);
  hash.Fold(entry.index.value());
  hash.Fold(entry.term.value());
  // An answer that is too large is a matter of the member that was asked, and of its flags.
  const auto error = ErrorOf(result);
  const bool refused = error.has_value() && *error != Error::kAnswerTooLarge;
  hash.Fold(refused ? 1 + static_cast<uint64_t>(*error) : 0);
  hash.Fold(static_cast<uint64_t>(numbers.compact_revision));
  for (const WriteOperation& operation : bench_->pending.operations().subspan(first_operation)) {
    if (!IsHashed(operation.family)) continue;
    hash.Fold(static_cast<uint64_t>(operation.family) << 1 | (operation.is_delete ? 1 : 0));
    hash.Fold(operation.key);
    hash.Fold(operation.value);
  }
  numbers.state_hash = hash.value();
  if (entry.index.value() % options_.digest_interval == 0) {
    numbers.digest = {entry.index, numbers.state_hash};
  }
}

bool KvMachine::Commit() {
  Workbench& bench = *bench_;
  const std::string position = EncodeAppliedRecord(bench.numbers);
  const bool late =
      base::Planted("applied-index-late") && bench.numbers.applied.index.value() % 2 == 0;
  if (!late) bench.pending.Put(Family::kApplied, kPositionName, position);
  Engine* const engine = bench.backing->engine.get();
  engine->Write(bench.pending.operations());
  if (const absl::Status damage = engine->damage(); !damage.ok()) {
    DeclareLost(damage);
    return false;
  }
  for (const WriteOperation& operation : bench.pending.operations()) {
    if (operation.family != Family::kDatum) continue;
    bench.backing->cache.Update(operation.key, operation.value, bench.numbers.revision);
  }
  bench.newest.set_revision(bench.numbers.revision);
  const int64_t revision_before = revision();
  Publish(std::make_shared<View>(View{bench.backing, engine->NewView(), bench.numbers}));
  TellObserver(revision_before);
  if (on_commit_) on_commit_(bench.pending.operations(), bench.numbers);
  bench.pending.Clear();
  return true;
}

void KvMachine::TellObserver(int64_t revision_before) const {
  const int64_t revision = bench_->numbers.revision;
  if (observer_ == nullptr || revision == revision_before || !observer_->wanted()) return;
  ChangeBatch changes(revision_before);
  for (const WriteOperation& operation : bench_->pending.operations()) {
    if (operation.family != Family::kRevision) continue;
    changes.Add(DecodeRevision(operation.key.data()), operation.value);
  }
  changes.set_through(revision);
  observer_->OnChanges(std::move(changes));
}

absl::StatusOr<ChangeBatch> KvMachine::ReadChanges(int64_t from, int64_t through,
                                                   size_t bytes_max) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  if (through > view->numbers.revision) {
    return absl::UnavailableError("datum: this member's state was lost; watch another's");
  }
  if (from < view->numbers.compact_revision) return ErrorStatus(Error::kCompacted);
  ChangeBatch batch(from - 1);
  batch.set_through(through);
  const std::unique_ptr<Cursor> cursor =
      view->reader->NewCursor(Family::kRevision, RevisionKey({through + 1, 0}));
  int64_t last = 0;
  for (cursor->Seek(RevisionKey({from, 0})); cursor->Valid(); cursor->Next()) {
    if (cursor->key().size() != kRevisionBytes) {
      return Checked(absl::DataLossError("a change's key has a wrong length"), *view->backing);
    }
    const Revision revision = DecodeRevision(cursor->key().data());
    if (last != 0 && revision.main != last && batch.bytes() >= bytes_max) {
      batch.set_through(last);
      break;
    }
    last = revision.main;
    batch.Add(revision, cursor->value());
  }
  RETURN_IF_ERROR(Checked(cursor->status(), *view->backing));
  // What is dropped is dropped from views too.
  if (from < view->backing->compaction.dropped_to()->load(std::memory_order_acquire)) {
    return ErrorStatus(Error::kCompacted);
  }
  return batch;
}

absl::StatusOr<bool> KvMachine::ReadPrevious(Revision revision, const Change& change,
                                             OnDatum on_datum) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  if (revision.main - 1 < view->numbers.compact_revision) return false;
  absl::StatusOr<bool> found = NewestHistory(*view).FindReplaced(change, revision, on_datum);
  if (ErrorOf(found.status()) == Error::kCompacted) return false;
  RETURN_IF_ERROR(Checked(found.status(), *view->backing));
  return found;
}

std::shared_ptr<const View> KvMachine::view() const {
  std::lock_guard<std::mutex> lock(view_mutex_);
  return view_;
}

void KvMachine::Publish(std::shared_ptr<const View> view) {
  // The old view, perhaps its last owner, goes after the lock.
  std::lock_guard<std::mutex> lock(view_mutex_);
  view_.swap(view);
}

raft::LogPosition KvMachine::applied() const { return view()->numbers.applied; }

uint64_t KvMachine::logical_bytes() const {
  return static_cast<uint64_t>(view()->numbers.live_bytes);
}

absl::StatusOr<LeaseTtls> KvMachine::Leases() const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  absl::StatusOr<LeaseTtls> leases = ReadLeases(*view->reader);
  RETURN_IF_ERROR(Checked(leases.status(), *view->backing));
  return leases;
}

absl::StatusOr<std::vector<std::string>> KvMachine::KeysOfLease(int64_t lease) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  absl::StatusOr<std::vector<std::string>> keys = LeaseTable::KeysOf(lease, *view->reader);
  RETURN_IF_ERROR(Checked(keys.status(), *view->backing));
  return keys;
}

absl::Status KvMachine::Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                              etcdserverpb::RangeResponse* response) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  RETURN_IF_ERROR(Checked(ReadRangeOf(*view, request, response), *view->backing));
  FillHeader(options_, view->numbers.revision, raft_term, response->mutable_header());
  return absl::OkStatus();
}

absl::Status KvMachine::ReadRangeOf(const View& view, const etcdserverpb::RangeRequest& request,
                                    etcdserverpb::RangeResponse* response) const {
  const AppliedRecord& numbers = view.numbers;
  RETURN_IF_ERROR(
      CheckReadRevision(request.revision(), numbers.revision, numbers.compact_revision));
  const CachedReader reader(view.reader.get(), &view.backing->cache, numbers.revision);
  AnswerBudget budget(options_.answer_bytes_max);
  RETURN_IF_ERROR(ReadRange(KeySpace(&reader, NewestHistory(view)), request, &budget, response));
  if (budget.exceeded()) return ReadAnswerTooLarge(budget.bytes_max());
  return absl::OkStatus();
}

absl::StatusOr<bool> KvMachine::EncodeRange(const etcdserverpb::RangeRequest& request,
                                            uint64_t raft_term, Grows grows, Pieces* pieces) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  const AppliedRecord& numbers = view->numbers;
  RETURN_IF_ERROR(
      CheckReadRevision(request.revision(), numbers.revision, numbers.compact_revision));
  const CachedReader reader(view->reader.get(), &view->backing->cache, numbers.revision);
  etcdserverpb::ResponseHeader header;
  FillHeader(options_, numbers.revision, raft_term, &header);
  AnswerBudget budget(options_.answer_bytes_max);
  const absl::StatusOr<bool> encoded = store::EncodeRange(KeySpace(&reader, NewestHistory(*view)),
                                                          request, header, grows, &budget, pieces);
  RETURN_IF_ERROR(Checked(encoded.status(), *view->backing));
  if (budget.exceeded()) return ReadAnswerTooLarge(budget.bytes_max());
  return encoded;
}

std::shared_ptr<const View> KvMachine::HoldView() const {
  // Held before the view is made; a state that is installed between the two is held instead.
  std::shared_ptr<const View> held = view();
  while (true) {
    held->backing->compaction.Hold();
    std::shared_ptr<const View> newest = view();
    if (newest->backing == held->backing) return newest;
    held->backing->compaction.Release();
    held = std::move(newest);
  }
}

absl::StatusOr<std::unique_ptr<RangePages>> KvMachine::OpenPages(
    const etcdserverpb::RangeRequest& request) const {
  RETURN_IF_ERROR(CheckNotLost());
  auto pages = std::make_unique<RangePages>(HoldView(), request);
  const AppliedRecord& numbers = pages->view()->numbers;
  RETURN_IF_ERROR(
      CheckReadRevision(request.revision(), numbers.revision, numbers.compact_revision));
  return pages;
}

absl::StatusOr<bool> KvMachine::NextPage(RangePages* pages, int64_t keys_max, uint64_t bytes_max,
                                         etcdserverpb::RangeResponse* page) const {
  absl::StatusOr<bool> more = pages->Next(keys_max, bytes_max, page);
  RETURN_IF_ERROR(Checked(more.status(), *pages->view()->backing));
  return more;
}

absl::Status KvMachine::ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                                etcdserverpb::TxnResponse* response) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  RETURN_IF_ERROR(Checked(ReadTxnOf(*view, request, response), *view->backing));
  FillHeader(options_, view->numbers.revision, raft_term, response->mutable_header());
  return absl::OkStatus();
}

absl::Status KvMachine::ReadTxnOf(const View& view, const etcdserverpb::TxnRequest& request,
                                  etcdserverpb::TxnResponse* response) const {
  const AppliedRecord& numbers = view.numbers;
  const CachedReader reader(view.reader.get(), &view.backing->cache, numbers.revision);
  const KeySpace keys(&reader, NewestHistory(view));
  ASSIGN_OR_RETURN(const Branches branches, ChooseBranches(request, keys));
  RETURN_IF_ERROR(
      CheckTxn(request, branches, {&keys, numbers.revision, numbers.compact_revision, nullptr}));
  AnswerBudget budget(options_.answer_bytes_max);
  Operations operations(&keys, &budget, numbers.revision);
  RETURN_IF_ERROR(operations.Txn(request, branches, response));
  if (budget.exceeded()) return ReadAnswerTooLarge(budget.bytes_max());
  return absl::OkStatus();
}

absl::StatusOr<KvMachine::Hash> KvMachine::HashKv(int64_t revision) const {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<const View> view = this->view();
  const AppliedRecord& numbers = view->numbers;
  RETURN_IF_ERROR(CheckReadRevision(revision, numbers.revision, numbers.compact_revision));
  const int64_t at = revision > 0 ? revision : numbers.revision;
  // Not the cache: what is on the disk is what is asked for.
  const absl::StatusOr<uint32_t> hash =
      HashKeySpace(KeySpace(view->reader.get(), NewestHistory(*view)), at);
  RETURN_IF_ERROR(Checked(hash.status(), *view->backing));
  return Hash{*hash, at, numbers.compact_revision, numbers.revision};
}

absl::StatusOr<std::unique_ptr<EtcdSnapshot>> KvMachine::PlanEtcdSnapshot(
    const std::string& version, base::FileSystem* files, const std::string& spool_path) const {
  RETURN_IF_ERROR(CheckNotLost());
  std::shared_ptr<const View> view = HoldView();
  const std::shared_ptr<Backing> backing = view->backing;
  EtcdSnapshot::Cluster cluster{cluster_.membership(), alarms(), version};
  auto snapshot = EtcdSnapshot::Plan(std::move(view), std::move(cluster), files, spool_path);
  RETURN_IF_ERROR(Checked(snapshot.status(), *backing));
  return snapshot;
}

absl::Status KvMachine::CheckFiles() {
  if (lost()) return absl::OkStatus();
  const std::shared_ptr<Backing> backing = view()->backing;
  return Checked(backing->engine->CheckFiles(), *backing);
}

absl::StatusOr<bool> KvMachine::CompactStep(size_t records_max) {
  if (lost()) return false;
  const std::shared_ptr<Backing> backing = view()->backing;
  absl::StatusOr<bool> more = backing->compaction.Step(records_max);
  RETURN_IF_ERROR(Checked(more.status(), *backing));
  RETURN_IF_ERROR(Checked(backing->engine->damage(), *backing));
  return more;
}

bool KvMachine::FlushIfDue(base::TimePoint now) {
  if (lost() || unflushed_entries_.load(std::memory_order_relaxed) == 0) return false;
  if (!unflushed_since_.has_value()) unflushed_since_ = now;
  const bool due = unflushed_bytes_.load(std::memory_order_relaxed) >= options_.flush_bytes ||
                   now - *unflushed_since_ >= options_.flush_interval;
  if (!due) return false;
  unflushed_since_.reset();
  Flush();
  return true;
}

void KvMachine::Flush() {
  if (lost()) return;
  // Counted down first: what is applied while the flush runs may not be in it.
  unflushed_bytes_.store(0, std::memory_order_relaxed);
  unflushed_entries_.store(0, std::memory_order_relaxed);
  const std::shared_ptr<Backing> backing = view()->backing;
  backing->engine->Flush();
  Checked(backing->engine->damage(), *backing).IgnoreError();
}

absl::StatusOr<raft::LogPosition> KvMachine::persisted_applied() const {
  const std::shared_ptr<Backing> backing = view()->backing;
  const absl::StatusOr<AppliedRecord> numbers = DecodeFound([&](OnValue on_value) {
    return backing->engine->GetPersisted(Family::kApplied, kPositionName, on_value);
  });
  RETURN_IF_ERROR(Checked(numbers.status(), *backing));
  return numbers->applied;
}

absl::Status KvMachine::Checkpoint(const std::string& directory) {
  RETURN_IF_ERROR(CheckNotLost());
  const std::shared_ptr<Backing> backing = view()->backing;
  return Checked(backing->engine->Checkpoint(directory), *backing);
}

}  // namespace store
