// SPDX-License-Identifier: Apache-2.0
//
// operations.h: Range, Put, DeleteRange and Txn as they run, once they have been checked.
//
// Responses may be null: nobody waits, and nothing is read for them. Nor is it once the budget is
// exceeded; the response is then of no use, and the operations run as they would have.
// Threads: as the readers and the writer given.
// Errors:  what reading returns. After an error the pending writes are of no use.

#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "proto/etcd/rpc.pb.h"
#include "store/answer_budget.h"
#include "store/change_writer.h"
#include "store/key_space.h"
#include "store/txn.h"

namespace store {

class Operations {
 public:
  // Reads only: for a Txn of Ranges, at a view of `revision`.
  Operations(const KeySpace* keys, AnswerBudget* budget, int64_t revision)
      : keys_(keys), budget_(budget), revision_(revision) {}
  // Reads and writes; `keys` reads through the writer's pending changes.
  Operations(const KeySpace* keys, AnswerBudget* budget, ChangeWriter* writer)
      : keys_(keys), budget_(budget), writer_(writer) {}

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
  // Adds to an answer what was there before a change.
  void ShowPrior(std::string_view key, const Datum& datum, mvccpb::KeyValue* kv) const;
  int64_t revision_now() const { return writer_ ? writer_->revision_now() : revision_; }

  const KeySpace* const keys_;
  AnswerBudget* const budget_;
  // Null if nothing is written.
  ChangeWriter* const writer_ = nullptr;
  const int64_t revision_ = 0;
};

}  // namespace store
