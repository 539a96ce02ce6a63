// SPDX-License-Identifier: Apache-2.0
//
// operations.h: Range, Put, DeleteRange and Txn as they run, once they have been checked.
//
// Responses may be null: nobody waits, and nothing is read for them.
// Threads: as the readers and the writer given.
// Errors:  what reading returns. After an error the pending writes are of no use.

#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "proto/etcd/rpc.pb.h"
#include "store/change_writer.h"
#include "store/key_space.h"
#include "store/txn.h"

namespace store {

class Operations {
 public:
  // Reads only: for a Txn of Ranges, at a view of `revision`.
  Operations(const KeySpace* keys, int64_t revision) : keys_(keys), revision_(revision) {}
  // Reads and writes; `keys` reads through the writer's pending changes.
  Operations(const KeySpace* keys, ChangeWriter* writer) : keys_(keys), writer_(writer) {}

  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) const;
  absl::Status Put(const etcdserverpb::PutRequest& request, etcdserverpb::PutResponse* response);
  absl::Status DeleteRange(const etcdserverpb::DeleteRangeRequest& request,
                           etcdserverpb::DeleteRangeResponse* response);
  // Requires: `branches` was chosen for `request`, and CheckTxn passed.
  absl::Status Txn(const etcdserverpb::TxnRequest& request, const Branches& branches,
                   etcdserverpb::TxnResponse* response);

 private:
  absl::Status RunTxn(const etcdserverpb::TxnRequest& request, const Branches& branches,
                      size_t* next_branch, etcdserverpb::TxnResponse* response);
  absl::Status RunOne(const etcdserverpb::RequestOp& operation, const Branches& branches,
                      size_t* next_branch, etcdserverpb::ResponseOp* response);
  int64_t revision_now() const { return writer_ ? writer_->revision_now() : revision_; }

  const KeySpace* const keys_;
  // Null if nothing is written.
  ChangeWriter* const writer_ = nullptr;
  const int64_t revision_ = 0;
};

}  // namespace store
