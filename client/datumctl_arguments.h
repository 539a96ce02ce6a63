// SPDX-License-Identifier: Apache-2.0
//
// datumctl_arguments.h: the command line of datumctl: etcdctl's verbs and flags.
//
// Threads: one.
// Errors:  InvalidArgument is bad usage, with a sentence for the user.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace client {

enum class Verb {
  kPut,
  kGet,
  kDelete,
  kTxn,
  kCompaction,
  kEndpointStatus,
  kEndpointHealth,
  kMemberList,
  kMemberAdd,
  kMemberRemove,
  kMemberUpdate,
  kMemberPromote,
  kMoveLeader,
  kLeaseGrant,
  kLeaseRevoke,
  kVersion,
};

enum class OutputFormat { kSimple, kJson, kFields, kTable };

struct GetArguments {
  std::string key;
  std::string range_end;
  bool has_range_end = false;
  std::string consistency = "l";
  std::string order;
  std::string sort_by;
  int64_t limit = 0;
  int64_t revision = 0;
  bool prefix = false;
  bool from_key = false;
  bool keys_only = false;
  bool count_only = false;
  bool print_value_only = false;
  int64_t min_create_revision = 0;
  int64_t max_create_revision = 0;
  int64_t min_mod_revision = 0;
  int64_t max_mod_revision = 0;
};

struct PutArguments {
  std::string key;
  std::string value;
  // Without one it is read from stdin.
  bool has_value = false;
  std::string lease = "0";
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteArguments {
  std::string key;
  std::string range_end;
  bool has_range_end = false;
  bool prefix = false;
  bool from_key = false;
  bool prev_kv = false;
  // The user has said --range: no pause before a whole range goes.
  bool range = false;
};

struct MemberArguments {
  std::string id;  // hexadecimal
  std::string name;
  std::vector<std::string> peer_urls;
  bool is_learner = false;
};

struct Arguments {
  Verb verb = Verb::kVersion;
  Options options;
  OutputFormat format = OutputFormat::kSimple;
  bool hex = false;
  GetArguments get;
  PutArguments put;
  DeleteArguments del;
  bool txn_interactive = false;
  int64_t compaction_revision = 0;
  bool compaction_physical = false;
  // Ask the member list for the endpoints.
  bool whole_cluster = false;
  std::string member_consistency = "l";
  MemberArguments member;
  int64_t lease_ttl_seconds = 0;
  std::string lease_id;
};

// The outcome of reading a command line: arguments to run, or a text to print and an exit code.
struct ParsedLine {
  bool run = false;
  Arguments arguments;
  std::string out;
  std::string error;
  int exit_code = 0;
};
ParsedLine ParseCommandLine(const std::vector<std::string>& line);

// One request line of a txn, as `put key value --lease=1`, already split into words.
absl::StatusOr<etcdserverpb::RequestOp> ParseTxnOperation(const std::vector<std::string>& words);

// What the arguments ask for. `stdin_value` gives the value if the line has none.
absl::StatusOr<etcdserverpb::RangeRequest> RequestOf(const GetArguments& arguments);
absl::StatusOr<etcdserverpb::PutRequest> RequestOf(const PutArguments& arguments,
                                                   const std::string& stdin_value);
absl::StatusOr<etcdserverpb::DeleteRangeRequest> RequestOf(const DeleteArguments& arguments);

absl::StatusOr<int64_t> ParseLeaseId(const std::string& hex);
absl::StatusOr<uint64_t> ParseMemberId(const std::string& hex);

}  // namespace client
