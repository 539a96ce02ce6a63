// SPDX-License-Identifier: Apache-2.0
//
// version_model.h: etcd's key-value semantics the plain way: a map of all versions of every key.
//
// What KvMachine is compared with. It knows no engine, no compaction work, no crash.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/etcd/raft_internal.pb.h"
#include "proto/etcd/rpc.pb.h"

namespace store {

class VersionModel {
 public:
  // Applies a request and encodes the expected response, without cluster id, member id and term.
  // Empty if the request is refused; `refusal` then has the text.
  std::string Apply(const etcdserverpb::InternalRaftRequest& request, std::string* refusal);

  // What a Range without sort, filter or limit finds at `revision` (0: now).
  std::vector<mvccpb::KeyValue> Range(const std::string& key, const std::string& range_end,
                                      int64_t revision) const;

  int64_t revision() const { return revision_; }
  int64_t compact_revision() const { return compact_revision_; }
  int64_t live_bytes() const;
  const std::set<int64_t>& leases() const { return leases_; }

 private:
  struct Version {
    bool deleted = false;
    mvccpb::KeyValue kv;
  };

  // Null if the key has no datum at `revision`.
  const mvccpb::KeyValue* Find(const std::string& key, int64_t revision) const;
  void Put(const etcdserverpb::PutRequest& put, etcdserverpb::PutResponse* response);
  void Delete(const std::string& key, const std::string& range_end, bool prev_kv,
              etcdserverpb::DeleteRangeResponse* response);
  bool Holds(const etcdserverpb::Compare& compare) const;
  void Choose(const etcdserverpb::TxnRequest& txn, std::vector<bool>* branches) const;
  std::string CheckPut(const etcdserverpb::PutRequest& put) const;
  std::string Check(const etcdserverpb::TxnRequest& txn, const std::vector<bool>& branches,
                    size_t* next) const;
  void Run(const etcdserverpb::TxnRequest& txn, const std::vector<bool>& branches, size_t* next,
           etcdserverpb::TxnResponse* response);
  int64_t Now() const { return revision_ + (changed_ ? 1 : 0); }
  void EndWrite();

  std::map<std::string, std::vector<Version>> versions_;
  std::set<int64_t> leases_;
  int64_t revision_ = 1;
  int64_t compact_revision_ = -1;
  bool changed_ = false;
};

}  // namespace store
