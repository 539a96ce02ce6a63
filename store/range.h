// SPDX-License-Identifier: Apache-2.0
//
// range.h: etcd's Range over the key space, every option of it (reference: etcd-api 1.3).
//
// Threads: as the key space.

#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "proto/etcd/rpc.pb.h"
#include "store/answer_budget.h"
#include "store/datum.h"
#include "store/key_space.h"
#include "store/key_value.h"

namespace store {

// kCompacted or kFutureRevision if a Range may not read at `revision`; one that is not positive
// reads the newest and is always allowed.
absl::Status CheckReadRevision(int64_t revision, int64_t current_revision,
                               int64_t compact_revision);
// The same inside a Txn, where only 0 is always allowed (etcd-api 1.11).
absl::Status CheckTxnReadRevision(int64_t revision, int64_t current_revision,
                                  int64_t compact_revision);

// Fills in everything but the header. Stops where the budget is exceeded: that is OK here, and
// the response is of no use. Requires: the request's revision was checked.
absl::Status ReadRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request,
                       AnswerBudget* budget, etcdserverpb::RangeResponse* response);

// What a filled KeyValue takes of a budget.
uint64_t AnswerBytes(const mvccpb::KeyValue& kv);

}  // namespace store
