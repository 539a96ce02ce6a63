// SPDX-License-Identifier: Apache-2.0

#include "store/kv_machine.h"

#include <limits>
#include <utility>

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "google/protobuf/io/coded_stream.h"
#include "store/command.h"
#include "store/errors.h"
#include "store/key_space.h"
#include "store/operations.h"
#include "store/range.h"
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

}  // namespace

KvMachine::KvMachine(std::unique_ptr<Engine> engine, const KvMachineOptions& options,
                     const AppliedRecord& numbers, int64_t dropped_to)
    : options_(options),
      engine_(std::move(engine)),
      cache_(std::make_unique<DatumCache>(options.datum_cache_bytes)),
      compaction_(std::make_unique<Compaction>(engine_.get(), dropped_to)),
      numbers_(numbers),
      newest_(engine_.get(), cache_.get(), numbers.revision),
      pending_(&newest_),
      applier_({options.cluster_id, options.member_id}, options.answer_bytes_max, &pending_,
               History(&pending_, compaction_->dropped_to()), &numbers_, &leases_, &cluster_) {}

KvMachine::~KvMachine() = default;

absl::StatusOr<std::unique_ptr<KvMachine>> KvMachine::Open(std::unique_ptr<Engine> engine,
                                                           const KvMachineOptions& options) {
  AppliedRecord numbers;
  absl::Status decoded;
  RETURN_IF_ERROR(engine
                      ->Get(Family::kApplied, kPositionName,
                            [&](std::string_view bytes) {
                              auto record = DecodeAppliedRecord(bytes);
                              decoded = record.status();
                              if (record.ok()) numbers = *record;
                            })
                      .status());
  RETURN_IF_ERROR(decoded);
  ASSIGN_OR_RETURN(const int64_t dropped_to, LoadDroppedTo(*engine));
  std::unique_ptr<KvMachine> machine(
      new KvMachine(std::move(engine), options, numbers, dropped_to));
  RETURN_IF_ERROR(machine->leases_.Load(*machine->engine_));
  RETURN_IF_ERROR(machine->cluster_.Load(*machine->engine_));
  if (numbers.compact_revision > dropped_to) {
    machine->compaction_->Request(numbers.compact_revision, numbers.compacted_at);
  }
  machine->Publish(std::make_shared<View>(View{machine->engine_->NewView(), numbers}));
  return machine;
}

void KvMachine::Apply(std::span<const raft::ApplyItem> items,
                      std::vector<raft::ApplyResult>* results) {
  results->clear();
  results->resize(items.size());
  uint64_t bytes = 0;
  const int64_t compact_revision = numbers_.compact_revision;
  for (size_t i = 0; i < items.size(); ++i) {
    const raft::Entry& entry = *items[i].entry;
    CHECK_EQ(entry.index, numbers_.applied.index + 1) << "entries must come without gaps";
    raft::ApplyResult& result = (*results)[i];
    if (entry.kind == raft::EntryKind::kCommand) {
      result.status = ApplyEntry(items[i], items[i].response_wanted ? &result.response : nullptr);
      if (!result.status.ok()) {
        if (!ErrorOf(result.status).has_value()) {
          LOG(FATAL) << "cannot apply entry " << entry.position() << ": " << result.status;
        }
        result.response.clear();
      }
    }
    numbers_.applied = entry.position();
    bytes += entry.command.size();
  }
  if (items.empty()) return;
  Commit();
  if (numbers_.compact_revision != compact_revision) {
    compaction_->Request(numbers_.compact_revision, numbers_.compacted_at);
  }
  unflushed_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  unflushed_entries_.fetch_add(items.size(), std::memory_order_relaxed);
}

absl::Status KvMachine::ApplyEntry(const raft::ApplyItem& item, std::string* response) {
  const raft::Entry& entry = *item.entry;
  request_.Clear();
  if (!DecodeCommand(entry.command, &request_)) {
    LOG(ERROR) << "entry " << entry.position() << " holds no request";
    return ErrorStatus(Error::kUndecodable);
  }
  return applier_.Apply(request_, entry.term, response);
}

void KvMachine::Commit() {
  const std::string position = EncodeAppliedRecord(numbers_);
  const bool late = base::Planted("applied-index-late") && numbers_.applied.index.value() % 2 == 0;
  if (!late) pending_.Put(Family::kApplied, kPositionName, position);
  engine_->Write(pending_.operations());
  for (const WriteOperation& operation : pending_.operations()) {
    if (operation.family != Family::kDatum) continue;
    cache_->Update(operation.key, operation.value, numbers_.revision);
  }
  pending_.Clear();
  newest_.set_revision(numbers_.revision);
  Publish(std::make_shared<View>(View{engine_->NewView(), numbers_}));
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

absl::Status KvMachine::Range(const etcdserverpb::RangeRequest& request, uint64_t raft_term,
                              etcdserverpb::RangeResponse* response) const {
  const std::shared_ptr<const View> view = this->view();
  const AppliedRecord& numbers = view->numbers;
  RETURN_IF_ERROR(
      CheckReadRevision(request.revision(), numbers.revision, numbers.compact_revision));
  const CachedReader reader(view->reader.get(), cache_.get(), numbers.revision);
  AnswerBudget budget(options_.answer_bytes_max);
  RETURN_IF_ERROR(ReadRange(KeySpace(&reader, NewestHistory()), request, &budget, response));
  if (budget.exceeded()) return ReadAnswerTooLarge(budget.bytes_max());
  FillHeader(options_, numbers.revision, raft_term, response->mutable_header());
  return absl::OkStatus();
}

absl::Status KvMachine::ReadTxn(const etcdserverpb::TxnRequest& request, uint64_t raft_term,
                                etcdserverpb::TxnResponse* response) const {
  const std::shared_ptr<const View> view = this->view();
  const AppliedRecord& numbers = view->numbers;
  const CachedReader reader(view->reader.get(), cache_.get(), numbers.revision);
  const KeySpace keys(&reader, NewestHistory());
  ASSIGN_OR_RETURN(const Branches branches, ChooseBranches(request, keys));
  RETURN_IF_ERROR(
      CheckTxn(request, branches, {&keys, numbers.revision, numbers.compact_revision, nullptr}));
  AnswerBudget budget(options_.answer_bytes_max);
  Operations operations(&keys, &budget, numbers.revision);
  RETURN_IF_ERROR(operations.Txn(request, branches, response));
  if (budget.exceeded()) return ReadAnswerTooLarge(budget.bytes_max());
  FillHeader(options_, numbers.revision, raft_term, response->mutable_header());
  return absl::OkStatus();
}

bool KvMachine::FlushIfDue(base::TimePoint now) {
  if (unflushed_entries_.load(std::memory_order_relaxed) == 0) return false;
  if (!unflushed_since_.has_value()) unflushed_since_ = now;
  const bool due = unflushed_bytes_.load(std::memory_order_relaxed) >= options_.flush_bytes ||
                   now - *unflushed_since_ >= options_.flush_interval;
  if (!due) return false;
  unflushed_since_.reset();
  Flush();
  return true;
}

void KvMachine::Flush() {
  // Counted down first: what is applied while the flush runs may not be in it.
  unflushed_bytes_.store(0, std::memory_order_relaxed);
  unflushed_entries_.store(0, std::memory_order_relaxed);
  engine_->Flush();
}

absl::StatusOr<raft::LogPosition> KvMachine::persisted_applied() const {
  AppliedRecord numbers;
  absl::Status decoded;
  RETURN_IF_ERROR(engine_
                      ->GetPersisted(Family::kApplied, kPositionName,
                                     [&](std::string_view bytes) {
                                       auto record = DecodeAppliedRecord(bytes);
                                       decoded = record.status();
                                       if (record.ok()) numbers = *record;
                                     })
                      .status());
  RETURN_IF_ERROR(decoded);
  return numbers.applied;
}

}  // namespace store
