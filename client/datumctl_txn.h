// SPDX-License-Identifier: Apache-2.0
//
// datumctl_txn.h: a txn as it is typed: compares, then the requests for the case that they hold,
// then those for the other case, each list ended by an empty line. The syntax is etcdctl's.
//
// Threads: one.
// Errors:  InvalidArgument quotes the line that was not understood.

#pragma once

#include <functional>
#include <istream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"

namespace client {

// `prompt` is told what comes next before each list.
absl::StatusOr<etcdserverpb::TxnRequest> ReadTxn(
    std::istream* in, const std::function<void(std::string_view)>& prompt);

// One line as `mod("key") > "0"`.
absl::StatusOr<etcdserverpb::Compare> ParseCompare(std::string_view line);

}  // namespace client
