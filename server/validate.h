// SPDX-License-Identifier: Apache-2.0
//
// validate.h: what is wrong with a request, before anything is done for it.
//
// Looks at the request alone, never at the store. Errors: the rows of errors.h.

#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "proto/etcd/rpc.pb.h"

namespace server {

absl::Status CheckRange(const etcdserverpb::RangeRequest& request);
// Besides: what cannot be streamed as it is read (etcd-errors, section 2).
absl::Status CheckRangeStream(const etcdserverpb::RangeRequest& request);
absl::Status CheckPut(const etcdserverpb::PutRequest& request);
absl::Status CheckDeleteRange(const etcdserverpb::DeleteRangeRequest& request);

// `ops_max` bounds compares, success and failure operations each; for the operations of a nested
// Txn the budget is smaller by what the outer one has used, so that Txns lie at most `ops_max`
// deep in one another; what recurses here goes no deeper than that or than decoding let in.
absl::Status CheckTxn(const etcdserverpb::TxnRequest& request, int ops_max);

// All operations, nested ones too, only read, so the Txn need not enter the log.
bool IsReadOnly(const etcdserverpb::TxnRequest& request);

// There are reads, and all of them are content with this member's own state.
bool IsSerializable(const etcdserverpb::TxnRequest& request);

// Some operation, nested or not, answers with keys and values: the answer may be large.
bool AnswersValues(const etcdserverpb::TxnRequest& request);

}  // namespace server
