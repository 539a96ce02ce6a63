// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/store/version_model.h"

#include <limits>

namespace store {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

constexpr char kCompacted[] = "etcdserver: mvcc: required revision has been compacted";
constexpr char kFuture[] = "etcdserver: mvcc: required revision is a future revision";
constexpr char kNoLease[] = "etcdserver: requested lease not found";
constexpr char kNoKey[] = "etcdserver: key not found";

bool Within(const std::string& at, const std::string& key, const std::string& range_end) {
  if (range_end.empty()) return at == key;
  if (at < key) return false;
  return range_end == std::string(1, '\0') || at < range_end;
}

template <typename T>
bool Compares(Compare::CompareResult result, const T& a, const T& b) {
  switch (result) {
    case Compare::EQUAL:
      return a == b;
    case Compare::NOT_EQUAL:
      return a != b;
    case Compare::GREATER:
      return b < a;
    case Compare::LESS:
      return a < b;
    default:
      return true;
  }
}

bool CompareOne(const Compare& compare, const mvccpb::KeyValue& kv) {
  switch (compare.target()) {
    case Compare::VERSION:
      return Compares(compare.result(), kv.version(), compare.version());
    case Compare::CREATE:
      return Compares(compare.result(), kv.create_revision(), compare.create_revision());
    case Compare::MOD:
      return Compares(compare.result(), kv.mod_revision(), compare.mod_revision());
    case Compare::VALUE:
      return Compares(compare.result(), kv.value(), compare.value());
    case Compare::LEASE:
      return Compares(compare.result(), kv.lease(), compare.lease());
    default:
      return Compares(compare.result(), 0, 0);
  }
}

const google::protobuf::RepeatedPtrField<RequestOp>& Branch(const TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success() : txn.failure();
}

}  // namespace

const mvccpb::KeyValue* VersionModel::Find(const std::string& key, int64_t revision) const {
  const auto at = versions_.find(key);
  if (at == versions_.end()) return nullptr;
  const int64_t limit = revision <= 0 ? std::numeric_limits<int64_t>::max() : revision;
  for (auto version = at->second.rbegin(); version != at->second.rend(); ++version) {
    if (version->kv.mod_revision() <= limit) return version->deleted ? nullptr : &version->kv;
  }
  return nullptr;
}

std::vector<mvccpb::KeyValue> VersionModel::Range(const std::string& key,
                                                  const std::string& range_end,
                                                  int64_t revision) const {
  std::vector<mvccpb::KeyValue> found;
  for (const auto& [at, versions] : versions_) {
    if (!Within(at, key, range_end)) continue;
    if (const mvccpb::KeyValue* kv = Find(at, revision)) found.push_back(*kv);
  }
  return found;
}

int64_t VersionModel::live_bytes() const {
  int64_t bytes = 0;
  for (const auto& [key, versions] : versions_) {
    if (const mvccpb::KeyValue* kv = Find(key, 0)) bytes += key.size() + kv->value().size();
  }
  return bytes;
}

void VersionModel::Put(const etcdserverpb::PutRequest& put, etcdserverpb::PutResponse* response) {
  const mvccpb::KeyValue* prior = Find(put.key(), 0);
  if (put.prev_kv() && prior != nullptr) *response->mutable_prev_kv() = *prior;
  Version version;
  changed_ = true;
  version.kv.set_key(put.key());
  version.kv.set_create_revision(prior ? prior->create_revision() : Now());
  version.kv.set_mod_revision(Now());
  version.kv.set_version(prior ? prior->version() + 1 : 1);
  version.kv.set_value(put.ignore_value() ? prior->value() : put.value());
  version.kv.set_lease(put.ignore_lease() ? prior->lease() : put.lease());
  versions_[put.key()].push_back(version);
  response->mutable_header()->set_revision(Now());
}

void VersionModel::Delete(const std::string& key, const std::string& range_end, bool prev_kv,
                          etcdserverpb::DeleteRangeResponse* response) {
  for (const mvccpb::KeyValue& kv : Range(key, range_end, 0)) {
    changed_ = true;
    if (prev_kv) *response->add_prev_kvs() = kv;
    response->set_deleted(response->deleted() + 1);
    Version version;
    version.deleted = true;
    version.kv.set_mod_revision(Now());
    versions_[kv.key()].push_back(version);
  }
  response->mutable_header()->set_revision(Now());
}

bool VersionModel::Holds(const Compare& compare) const {
  const auto kvs = Range(compare.key(), compare.range_end(), 0);
  if (kvs.empty()) {
    return compare.target() != Compare::VALUE && CompareOne(compare, mvccpb::KeyValue());
  }
  for (const mvccpb::KeyValue& kv : kvs) {
    if (!CompareOne(compare, kv)) return false;
  }
  return true;
}

void VersionModel::Choose(const TxnRequest& txn, std::vector<bool>* branches) const {
  bool succeeded = true;
  for (const Compare& compare : txn.compare()) succeeded = succeeded && Holds(compare);
  branches->push_back(succeeded);
  for (const RequestOp& operation : Branch(txn, succeeded)) {
    if (operation.has_request_txn()) Choose(operation.request_txn(), branches);
  }
}

std::string VersionModel::CheckPut(const etcdserverpb::PutRequest& put) const {
  if (put.lease() != 0 && !leases_.contains(put.lease())) return kNoLease;
  if ((put.ignore_value() || put.ignore_lease()) && Find(put.key(), 0) == nullptr) return kNoKey;
  return "";
}

std::string VersionModel::Check(const TxnRequest& txn, const std::vector<bool>& branches,
                                size_t* next) const {
  for (const RequestOp& operation : Branch(txn, branches[(*next)++])) {
    std::string refusal;
    if (operation.has_request_put()) refusal = CheckPut(operation.request_put());
    if (operation.has_request_txn()) refusal = Check(operation.request_txn(), branches, next);
    if (operation.has_request_range()) {
      const int64_t at = operation.request_range().revision();
      if (at != 0 && at > revision_) refusal = kFuture;
      if (at != 0 && at < compact_revision_) refusal = kCompacted;
    }
    if (operation.request_case() == RequestOp::REQUEST_NOT_SET) refusal = kNoKey;
    if (!refusal.empty()) return refusal;
  }
  return "";
}

void VersionModel::Run(const TxnRequest& txn, const std::vector<bool>& branches, size_t* next,
                       etcdserverpb::TxnResponse* response) {
  const bool succeeded = branches[(*next)++];
  response->set_succeeded(succeeded);
  for (const RequestOp& operation : Branch(txn, succeeded)) {
    auto* answer = response->add_responses();
    if (operation.has_request_put()) {
      Put(operation.request_put(), answer->mutable_response_put());
    } else if (operation.has_request_delete_range()) {
      const auto& request = operation.request_delete_range();
      Delete(request.key(), request.range_end(), request.prev_kv(),
             answer->mutable_response_delete_range());
    } else if (operation.has_request_txn()) {
      Run(operation.request_txn(), branches, next, answer->mutable_response_txn());
    } else {
      const auto& request = operation.request_range();
      auto* range = answer->mutable_response_range();
      for (const auto& kv : Range(request.key(), request.range_end(), request.revision())) {
        *range->add_kvs() = kv;
      }
      range->set_count(range->kvs_size());
      range->mutable_header()->set_revision(Now());
    }
  }
  response->mutable_header();
}

void VersionModel::EndWrite() {
  revision_ = Now();
  changed_ = false;
}

std::string VersionModel::Apply(const etcdserverpb::InternalRaftRequest& request,
                                std::string* refusal) {
  refusal->clear();
  if (request.has_put()) {
    *refusal = CheckPut(request.put());
    if (!refusal->empty()) return "";
    etcdserverpb::PutResponse response;
    Put(request.put(), &response);
    EndWrite();
    return response.SerializeAsString();
  }
  if (request.has_delete_range()) {
    etcdserverpb::DeleteRangeResponse response;
    Delete(request.delete_range().key(), request.delete_range().range_end(),
           request.delete_range().prev_kv(), &response);
    EndWrite();
    return response.SerializeAsString();
  }
  if (request.has_txn()) {
    std::vector<bool> branches;
    Choose(request.txn(), &branches);
    size_t next = 0;
    *refusal = Check(request.txn(), branches, &next);
    if (!refusal->empty()) return "";
    etcdserverpb::TxnResponse response;
    next = 0;
    Run(request.txn(), branches, &next, &response);
    response.mutable_header()->set_revision(Now());
    EndWrite();
    return response.SerializeAsString();
  }
  if (request.has_compaction()) {
    const int64_t to = request.compaction().revision();
    *refusal = to <= compact_revision_ ? kCompacted : to > revision_ ? kFuture : "";
    if (!refusal->empty()) return "";
    compact_revision_ = to;
    etcdserverpb::CompactionResponse response;
    response.mutable_header()->set_revision(revision_);
    return response.SerializeAsString();
  }
  if (request.has_lease_grant()) {
    const auto& grant = request.lease_grant();
    if (!leases_.insert(grant.id()).second) *refusal = "etcdserver: lease already exists";
    etcdserverpb::LeaseGrantResponse response;
    response.set_id(grant.id());
    response.set_ttl(grant.ttl());
    response.mutable_header()->set_revision(revision_);
    return refusal->empty() ? response.SerializeAsString() : "";
  }
  const int64_t lease = request.lease_revoke().id();
  if (leases_.erase(lease) == 0) {
    *refusal = kNoLease;
    return "";
  }
  etcdserverpb::DeleteRangeResponse ignored;
  for (const mvccpb::KeyValue& kv : Range(std::string(1, '\0'), std::string(1, '\0'), 0)) {
    if (kv.lease() == lease) Delete(kv.key(), "", false, &ignored);
  }
  EndWrite();
  etcdserverpb::LeaseRevokeResponse response;
  response.mutable_header()->set_revision(revision_);
  return response.SerializeAsString();
}

}  // namespace store
