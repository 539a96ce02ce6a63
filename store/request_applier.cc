// SPDX-License-Identifier: Apache-2.0

#include "store/request_applier.h"

#include <vector>

#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/errors.h"
#include "store/range.h"

namespace store {
namespace {

using etcdserverpb::AlarmRequest;

// 0 for none and for what no version knows.
AlarmKind KindOf(etcdserverpb::AlarmType type) {
  switch (type) {
    case etcdserverpb::NOSPACE:
      return AlarmKind::kNoSpace;
    case etcdserverpb::CORRUPT:
      return AlarmKind::kCorrupt;
    default:
      return AlarmKind::kNone;
  }
}

void AddAlarm(const Alarm& alarm, etcdserverpb::AlarmResponse* response) {
  auto* member = response->add_alarms();
  member->set_memberid(alarm.member_id);
  member->set_alarm(static_cast<etcdserverpb::AlarmType>(alarm.kind));
}

}  // namespace

RequestApplier::RequestApplier(const Identity& identity, uint64_t answer_bytes_max,
                               PendingWrites* pending, History history, AppliedRecord* numbers,
                               LeaseTable* leases, ClusterRecord* cluster)
    : identity_(identity),
      pending_(pending),
      numbers_(numbers),
      leases_(leases),
      cluster_(cluster),
      keys_(pending, history),
      budget_(answer_bytes_max),
      writer_(pending, numbers),
      operations_(&keys_, &budget_, &writer_) {}

absl::Status RequestApplier::Apply(const etcdserverpb::InternalRaftRequest& request,
                                   raft::Term term, std::string* response) {
  term_ = term;
  response_ = response;
  budget_.Reset();
  if (request.in_term() != 0 && request.in_term() != term.value()) {
    if (!base::Planted("expiry-of-another-term")) return ErrorStatus(Error::kOtherTerm);
  }
  if (request.has_put()) return Put(request.put());
  if (request.has_txn()) return Txn(request.txn());
  if (request.has_delete_range()) return DeleteRange(request.delete_range());
  if (request.has_range()) return Range(request.range());
  if (request.has_compaction()) return Compact(request.compaction());
  if (request.has_lease_grant()) return GrantLease(request.lease_grant());
  if (request.has_lease_revoke()) return RevokeLease(request.lease_revoke());
  if (request.has_alarm()) return ChangeAlarm(request.alarm());
  return ErrorStatus(Error::kUnknownRequest);
}

template <typename Message>
absl::Status RequestApplier::Answer(Message* message) {
  if (response_ == nullptr) return absl::OkStatus();
  auto* header = message->mutable_header();
  header->set_cluster_id(identity_.cluster_id);
  header->set_member_id(identity_.member_id);
  header->set_revision(numbers_->revision);
  header->set_raft_term(term_.value());
  // What is not counted, a few bytes an operation, is measured here.
  if (budget_.exceeded() || message->ByteSizeLong() > budget_.bytes_max()) {
    return AppliedAnswerTooLarge(budget_.bytes_max());
  }
  CHECK(message->SerializeToString(response_));
  return absl::OkStatus();
}

CheckScope RequestApplier::Scope() const {
  return {&keys_, numbers_->revision, numbers_->compact_revision, leases_};
}

absl::Status RequestApplier::CheckAlarms(bool takes_space) const {
  if (cluster_->Raised(AlarmKind::kCorrupt)) return ErrorStatus(Error::kCorrupt);
  if (takes_space && cluster_->Raised(AlarmKind::kNoSpace)) return ErrorStatus(Error::kNoSpace);
  return absl::OkStatus();
}

absl::Status RequestApplier::Range(const etcdserverpb::RangeRequest& range) {
  RETURN_IF_ERROR(
      CheckReadRevision(range.revision(), numbers_->revision, numbers_->compact_revision));
  etcdserverpb::RangeResponse answer;
  RETURN_IF_ERROR(operations_.Range(range, Wanted(&answer)));
  return Answer(&answer);
}

absl::Status RequestApplier::Put(const etcdserverpb::PutRequest& put) {
  RETURN_IF_ERROR(CheckAlarms(/*takes_space=*/true));
  RETURN_IF_ERROR(CheckPut(put, Scope()));
  etcdserverpb::PutResponse answer;
  writer_.Begin();
  RETURN_IF_ERROR(operations_.Put(put, Wanted(&answer)));
  writer_.End();
  return Answer(&answer);
}

absl::Status RequestApplier::DeleteRange(const etcdserverpb::DeleteRangeRequest& delete_range) {
  RETURN_IF_ERROR(CheckAlarms(/*takes_space=*/false));
  etcdserverpb::DeleteRangeResponse answer;
  writer_.Begin();
  RETURN_IF_ERROR(operations_.DeleteRange(delete_range, Wanted(&answer)));
  writer_.End();
  return Answer(&answer);
}

absl::Status RequestApplier::Txn(const etcdserverpb::TxnRequest& txn) {
  RETURN_IF_ERROR(CheckAlarms(HasPut(txn)));
  ASSIGN_OR_RETURN(const Branches branches, ChooseBranches(txn, keys_));
  if (!base::Planted("txn-not-checked")) RETURN_IF_ERROR(CheckTxn(txn, branches, Scope()));
  etcdserverpb::TxnResponse answer;
  writer_.Begin();
  RETURN_IF_ERROR(operations_.Txn(txn, branches, Wanted(&answer)));
  writer_.End();
  return Answer(&answer);
}

absl::Status RequestApplier::Compact(const etcdserverpb::CompactionRequest& compaction) {
  RETURN_IF_ERROR(CheckAlarms(/*takes_space=*/false));
  const int64_t revision = compaction.revision();
  if (revision <= numbers_->compact_revision) return ErrorStatus(Error::kCompacted);
  if (revision > numbers_->revision) return ErrorStatus(Error::kFutureRevision);
  numbers_->compact_revision = revision;
  numbers_->compacted_at = numbers_->revision;
  RETURN_IF_ERROR(writer_.CountCompaction(revision));
  etcdserverpb::CompactionResponse answer;
  return Answer(&answer);
}

absl::Status RequestApplier::GrantLease(const etcdserverpb::LeaseGrantRequest& grant) {
  RETURN_IF_ERROR(CheckAlarms(/*takes_space=*/true));
  RETURN_IF_ERROR(leases_->Grant(grant.id(), grant.ttl(), pending_));
  etcdserverpb::LeaseGrantResponse answer;
  answer.set_id(grant.id());
  answer.set_ttl(grant.ttl());
  return Answer(&answer);
}

absl::Status RequestApplier::RevokeLease(const etcdserverpb::LeaseRevokeRequest& revoke) {
  RETURN_IF_ERROR(CheckAlarms(/*takes_space=*/false));
  if (!leases_->Exists(revoke.id())) return ErrorStatus(Error::kLeaseNotFound);
  ASSIGN_OR_RETURN(const std::vector<std::string> keys, LeaseTable::KeysOf(revoke.id(), *pending_));
  writer_.Begin();
  for (const std::string& key : keys) {
    Prior prior;
    RETURN_IF_ERROR(writer_.ReadPrior(key, /*want_value=*/false, &prior));
    CHECK(prior.exists) << "a key on lease " << revoke.id() << " is not there";
    writer_.Delete(key, prior);
  }
  writer_.End();
  leases_->Remove(revoke.id(), pending_);
  etcdserverpb::LeaseRevokeResponse answer;
  return Answer(&answer);
}

absl::Status RequestApplier::ChangeAlarm(const AlarmRequest& request) {
  const Alarm alarm{request.memberid(), KindOf(request.alarm())};
  etcdserverpb::AlarmResponse answer;
  switch (request.action()) {
    case AlarmRequest::GET:
      for (const Alarm& raised : cluster_->alarms(alarm.kind)) AddAlarm(raised, &answer);
      break;
    case AlarmRequest::ACTIVATE:
      if (alarm.kind == AlarmKind::kNone) break;
      cluster_->Raise(alarm, pending_);
      AddAlarm(alarm, &answer);
      break;
    case AlarmRequest::DEACTIVATE:
      if (cluster_->Disarm(alarm, pending_)) AddAlarm(alarm, &answer);
      break;
    default:
      return ErrorStatus(Error::kUnknownRequest);
  }
  return Answer(&answer);
}

}  // namespace store
