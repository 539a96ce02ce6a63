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
  kEndpointHashKv,
  kLeaseGrant,
  kLeaseRevoke,
  kLeaseTimeToLive,
  kLeaseKeepAlive,
  kLeaseList,
  kWatch,
  kDefrag,
  kAlarmList,
  kAlarmDisarm,
  kCheckPerf,
  kMakeMirror,
  kLock,
  kElect,
  kSnapshotSave,
  kSnapshotStatus,
  kSnapshotRestore,
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

struct WatchArguments {
  std::string key;
  std::string range_end;
  bool has_key = false;
  bool has_range_end = false;
  bool prefix = false;
  bool from_key = false;
  int64_t revision = 0;
  bool prev_kv = false;
  bool progress_notify = false;
  bool interactive = false;
  // Run for each event; with --exec one line for a shell.
  std::string exec;
};

struct LeaseArguments {
  int64_t ttl_seconds = 0;
  std::string id;  // hexadecimal
  bool keys = false;
  bool once = false;
};

struct CheckArguments {
  std::string load = "s";
  std::string prefix = "/etcdctl-check-perf/";
  absl::Duration duration = absl::Seconds(60);
  bool auto_compact = false;
  bool auto_defrag = false;
};

struct MirrorArguments {
  std::vector<std::string> destination;
  std::string prefix;
  std::string dest_prefix;
  bool no_dest_prefix = false;
  int64_t revision = 0;
  uint32_t max_txn_ops = 128;
};

// lock and elect.
struct SessionArguments {
  std::string name;
  std::string value;
  bool has_value = false;
  bool listen = false;
  int64_t ttl_seconds = 10;
};

struct SnapshotArguments {
  std::string file;
  std::string name = "default";
  std::string data_dir;
  std::string initial_cluster;
  std::string initial_cluster_token = "etcd-cluster";
  std::vector<std::string> peer_urls = {"http://localhost:2380"};
  bool skip_hash_check = false;
  int64_t bump_revision = 0;
  bool mark_compacted = false;
  bool accept_auth_off = false;
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
  int64_t hash_revision = 0;
  // --command-timeout was given: some commands have no limit without it.
  bool has_call_timeout = false;
  LeaseArguments lease;
  WatchArguments watch;
  CheckArguments check;
  MirrorArguments mirror;
  SessionArguments session;
  SnapshotArguments snapshot;
  // What follows "--" after watch and lock.
  std::vector<std::string> command;
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

absl::StatusOr<etcdserverpb::WatchCreateRequest> RequestOf(const WatchArguments& arguments);

// A line of `watch --interactive`, which begins with the word watch, in words.
struct WatchLine {
  WatchArguments watch;
  std::vector<std::string> command;
};
absl::StatusOr<WatchLine> ParseWatchLine(const std::vector<std::string>& words);

absl::StatusOr<int64_t> ParseLeaseId(const std::string& hex);
absl::StatusOr<uint64_t> ParseMemberId(const std::string& hex);

}  // namespace client
