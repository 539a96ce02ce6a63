// SPDX-License-Identifier: Apache-2.0

#include "store/operations.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "glog/logging.h"
#include "store/range.h"

namespace store {

using etcdserverpb::RequestOp;

absl::Status Operations::Range(const etcdserverpb::RangeRequest& request,
                               etcdserverpb::RangeResponse* response) const {
  if (response == nullptr || budget_->exceeded()) return absl::OkStatus();
  response->mutable_header()->set_revision(revision_now());
  return ReadRange(*keys_, request, budget_, response);
}

absl::Status Operations::Put(const etcdserverpb::PutRequest& request,
                             etcdserverpb::PutResponse* response) {
  const bool answers_prior = response != nullptr && request.prev_kv() && !budget_->exceeded();
  Prior prior;
  RETURN_IF_ERROR(
      writer_->ReadPrior(request.key(), answers_prior || request.ignore_value(), &prior));
  const std::string_view value =
      request.ignore_value() ? prior.datum.value : std::string_view(request.value());
  const int64_t lease = request.ignore_lease() ? prior.datum.lease : request.lease();
  RETURN_IF_ERROR(writer_->Put(request.key(), value, lease, prior));
  if (response == nullptr) return absl::OkStatus();
  response->mutable_header()->set_revision(revision_now());
  if (answers_prior && prior.exists) {
    ShowPrior(request.key(), prior.datum, response->mutable_prev_kv());
  }
  return absl::OkStatus();
}

absl::Status Operations::DeleteRange(const etcdserverpb::DeleteRangeRequest& request,
                                     etcdserverpb::DeleteRangeResponse* response) {
  const KeyRange range = KeyRangeOf(request.key(), request.range_end());
  // Found first, deleted then: no cursor may be open over what is being changed.
  std::vector<std::string> keys;
  if (range.single) {
    keys.push_back(request.key());
  } else {
    RETURN_IF_ERROR(keys_->ScanKeys(range, [&](std::string_view key) { keys.emplace_back(key); }));
  }
  int64_t deleted = 0;
  for (const std::string& key : keys) {
    const bool answers_prior = response != nullptr && request.prev_kv() && !budget_->exceeded();
    Prior prior;
    RETURN_IF_ERROR(writer_->ReadPrior(key, answers_prior, &prior));
    if (!prior.exists) continue;
    writer_->Delete(key, prior);
    ++deleted;
    if (answers_prior) ShowPrior(key, prior.datum, response->add_prev_kvs());
  }
  if (response == nullptr) return absl::OkStatus();
  response->set_deleted(deleted);
  response->mutable_header()->set_revision(revision_now());
  return absl::OkStatus();
}

void Operations::ShowPrior(std::string_view key, const Datum& datum, mvccpb::KeyValue* kv) const {
  FillKeyValue(key, datum, kv);
  budget_->Take(AnswerBytes(*kv));
}

absl::Status Operations::Txn(const etcdserverpb::TxnRequest& request, const Branches& branches,
                             etcdserverpb::TxnResponse* response) {
  size_t next_branch = 0;
  return RunTxn(request, branches, &next_branch, response);
}

absl::Status Operations::RunTxn(const etcdserverpb::TxnRequest& request, const Branches& branches,
                                size_t* next_branch, etcdserverpb::TxnResponse* response) {
  const bool succeeded = branches[(*next_branch)++];
  for (const RequestOp& operation : OperationsOf(request, succeeded)) {
    RETURN_IF_ERROR(RunOne(operation, branches, next_branch,
                           response == nullptr ? nullptr : response->add_responses()));
  }
  if (response == nullptr) return absl::OkStatus();
  response->set_succeeded(succeeded);
  // Empty in a nested Txn, as in etcd; the outermost is filled in by who sends it.
  response->mutable_header();
  return absl::OkStatus();
}

absl::Status Operations::RunOne(const RequestOp& operation, const Branches& branches,
                                size_t* next_branch, etcdserverpb::ResponseOp* response) {
  switch (operation.request_case()) {
    case RequestOp::kRequestRange:
      return Range(operation.request_range(),
                   response == nullptr ? nullptr : response->mutable_response_range());
    case RequestOp::kRequestPut:
      return Put(operation.request_put(),
                 response == nullptr ? nullptr : response->mutable_response_put());
    case RequestOp::kRequestDeleteRange:
      return DeleteRange(operation.request_delete_range(),
                         response == nullptr ? nullptr : response->mutable_response_delete_range());
    case RequestOp::kRequestTxn:
      return RunTxn(operation.request_txn(), branches, next_branch,
                    response == nullptr ? nullptr : response->mutable_response_txn());
    case RequestOp::REQUEST_NOT_SET:
      break;
  }
  LOG(FATAL) << "an operation without a request passed the check";
  return absl::OkStatus();
}

}  // namespace store
