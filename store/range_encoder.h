// SPDX-License-Identifier: Apache-2.0
//
// range_encoder.h: a Range's answer, encoded while it is read, in pieces of bounded size: what is
// in memory is the answer once, and not the answer as objects, as one string and as a copy.
//
// Threads: as the key space.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"
#include "store/answer_budget.h"
#include "store/key_space.h"

namespace store {

// A message's bytes, to be strung together.
using Pieces = std::vector<std::string>;

// An answer up to this size is asked no leave for.
inline constexpr uint64_t kSmallAnswerBytes = 4 << 10;

// Asked before an answer grows to so many bytes; false ends it.
using Grows = absl::FunctionRef<bool(uint64_t bytes)>;

// As ReadRange (range.h), with the header. False, and pieces of no use, if `grows` said no.
absl::StatusOr<bool> EncodeRange(const KeySpace& keys, const etcdserverpb::RangeRequest& request,
                                 const etcdserverpb::ResponseHeader& header, Grows grows,
                                 AnswerBudget* budget, Pieces* pieces);

}  // namespace store
