// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_arguments.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/datumctl_flags.h"

namespace client {
namespace {

constexpr char kExitCodes[] =
    "Global flags (datumctl --help) may stand before or after the verb.\n"
    "Exit codes: 0 done; 1 failed, the reason is on stderr; 2 bad usage.\n"
    "Global flags can also be given as ETCDCTL_ENDPOINTS, ETCDCTL_WRITE_OUT, ETCDCTL_HEX,\n"
    "ETCDCTL_DIAL_TIMEOUT and ETCDCTL_COMMAND_TIMEOUT.";

void AddGet(CLI::App* app, GetArguments* get) {
  app->add_option("key", get->key, "the key, or the first of a range")->required();
  app->add_option_function<std::string>(
      "range_end",
      [get](const std::string& end) {
        get->range_end = end;
        get->has_range_end = true;
      },
      "the end of the range, not included");
  app->add_option("--consistency", get->consistency, "l: linearizable, s: serializable")
      ->capture_default_str();
  app->add_option("--order", get->order, "ASCEND or DESCEND (default: key order)");
  app->add_option("--sort-by", get->sort_by, "CREATE, KEY, MODIFY, VALUE or VERSION");
  app->add_option("--limit", get->limit, "at most so many datums; 0: all")->capture_default_str();
  app->add_flag("--prefix", get->prefix, "all keys that begin with the key");
  app->add_flag("--from-key", get->from_key, "all keys from the key on");
  app->add_option("--rev", get->revision, "as of this revision; 0: the newest")
      ->capture_default_str();
  app->add_flag("--keys-only", get->keys_only, "only the keys");
  app->add_flag("--count-only", get->count_only,
                "only the number of keys (with -w fields or json)");
  app->add_flag("--print-value-only", get->print_value_only, "only the values (with -w simple)");
  app->add_option("--min-create-rev", get->min_create_revision, "least create revision");
  app->add_option("--max-create-rev", get->max_create_revision, "greatest create revision");
  app->add_option("--min-mod-rev", get->min_mod_revision, "least modification revision");
  app->add_option("--max-mod-rev", get->max_mod_revision, "greatest modification revision");
}

void AddPut(CLI::App* app, PutArguments* put) {
  app->add_option("key", put->key, "the key")->required();
  app->add_option_function<std::string>(
      "value",
      [put](const std::string& value) {
        put->value = value;
        put->has_value = true;
      },
      "the value; without it, and without --ignore-value, all of stdin is the value, which must\n"
      "not be empty");
  app->add_option("--lease", put->lease, "the lease to tie the key to, in hexadecimal; 0: none")
      ->capture_default_str();
  app->add_flag("--prev-kv", put->prev_kv, "print the datum as it was");
  app->add_flag("--ignore-value", put->ignore_value, "keep the present value");
  app->add_flag("--ignore-lease", put->ignore_lease, "keep the present lease");
  app->footer("A value that begins with '-' follows a --: put KEY -- VALUE");
}

void AddDelete(CLI::App* app, DeleteArguments* del) {
  app->add_option("key", del->key, "the key, or the first of a range")->required();
  app->add_option_function<std::string>(
      "range_end",
      [del](const std::string& end) {
        del->range_end = end;
        del->has_range_end = true;
      },
      "the end of the range, not included");
  app->add_flag("--prefix", del->prefix, "all keys that begin with the key");
  app->add_flag("--from-key", del->from_key, "all keys from the key on");
  app->add_flag("--prev-kv", del->prev_kv, "print the datums as they were");
  app->add_flag("--range", del->range, "delete [key, range_end) at once, without 2 s to think");
}

void AddGlobal(CLI::App* app, Arguments* arguments) {
  Options* options = &arguments->options;
  app->add_option("--endpoints", options->endpoints, "members, separated by commas")
      ->delimiter(',')
      // Otherwise the words that follow "--endpoints a,b" would be endpoints too.
      ->allow_extra_args(false)
      ->envname("ETCDCTL_ENDPOINTS")
      ->default_str("127.0.0.1:2379");
  static const std::map<std::string, OutputFormat> kFormats = {{"simple", OutputFormat::kSimple},
                                                               {"json", OutputFormat::kJson},
                                                               {"fields", OutputFormat::kFields},
                                                               {"table", OutputFormat::kTable}};
  app->add_option_function<std::string>(
         "-w,--write-out",
         [arguments](const std::string& name) {
           const auto found = kFormats.find(name);
           if (found == kFormats.end()) {
             throw CLI::ValidationError("--write-out",
                                        "'" + name + "' is not simple, json, fields or table");
           }
           arguments->format = found->second;
         },
         "simple, json, fields or table")
      ->envname("ETCDCTL_WRITE_OUT")
      ->default_str("simple");
  app->add_flag("--hex", arguments->hex, "print keys, values and ids in hexadecimal")
      ->envname("ETCDCTL_HEX");
  AddDuration(app, "--dial-timeout", &options->dial_timeout, "for a connection")
      ->envname("ETCDCTL_DIAL_TIMEOUT");
  AddDuration(app, "--command-timeout", &options->call_timeout, "for one command")
      ->envname("ETCDCTL_COMMAND_TIMEOUT");
  AddDuration(app, "--keepalive-time", &options->keepalive_time,
              "ping a silent connection after it");
  AddDuration(app, "--keepalive-timeout", &options->keepalive_timeout,
              "drop a connection that leaves a ping unanswered so long");
  app->add_option("--max-request-bytes", options->request_bytes_max, "the largest request to send")
      ->capture_default_str();
  app->add_option("--max-recv-bytes", options->response_bytes_max, "the largest answer to take")
      ->capture_default_str();
  app->add_flag(
      "--insecure-transport{true}",
      [](int64_t wanted) {
        if (wanted <= 0) {
          throw CLI::ValidationError("--insecure-transport", "TLS is not served yet");
        }
      },
      "without TLS, the only way yet");
}

void AddVerbs(CLI::App* app, Arguments* arguments) {
  const auto add = [app, arguments](const std::string& name, const std::string& help, Verb verb) {
    return AddVerb(app, name, help, verb, arguments);
  };
  AddGet(add("get", "Reads a key or a range", Verb::kGet), &arguments->get);
  AddPut(add("put", "Writes a key", Verb::kPut), &arguments->put);
  AddDelete(add("del", "Deletes a key or a range", Verb::kDelete), &arguments->del);
  CLI::App* txn = add("txn", "Runs requests from stdin as one step", Verb::kTxn);
  txn->add_flag("-i,--interactive", arguments->txn_interactive, "say what is to be entered next");
  txn->footer(
      "Reads three lists from stdin, each ended by an empty line: compares, requests for the\n"
      "case that all of them hold, requests for the other case. For example:\n"
      "  mod(\"key1\") > \"0\"\n\n  put key1 \"was there\"\n\n  put key1 \"is new\"\n\n"
      "Compares: version, create, mod, value or lease (\"key\") =, !=, > or < \"operand\".");
  CLI::App* compaction =
      add("compaction", "Gives up the history before a revision", Verb::kCompaction);
  compaction->alias("compact");
  compaction->add_option("revision", arguments->compaction_revision, "the first that stays")
      ->required();
  compaction->add_flag("--physical", arguments->compaction_physical,
                       "return when the space is really free");
  AddEndpointVerbs(app, arguments);
  AddMemberVerbs(app, arguments);
  AddLeaseVerbs(app, arguments);
  AddWatchVerb(app, arguments);
  AddSessionVerbs(app, arguments);
  AddMaintenanceVerbs(app, arguments);
  AddSnapshotVerbs(app, arguments);
  AddMirrorVerb(app, arguments);
  add("version", "The versions of this program and of the API it speaks", Verb::kVersion);
}

absl::Status BadUsage(const std::string& text) { return absl::InvalidArgumentError(text); }

absl::StatusOr<bool> IsSerializable(const std::string& consistency) {
  if (consistency == "s") return true;
  if (consistency == "l") return false;
  return BadUsage(absl::StrCat("--consistency is '", consistency, "', not l or s"));
}

absl::Status SetSort(const GetArguments& get, etcdserverpb::RangeRequest* request) {
  using etcdserverpb::RangeRequest;
  static const std::map<std::string, RangeRequest::SortOrder> kOrders = {
      {"", RangeRequest::NONE},
      {"ASCEND", RangeRequest::ASCEND},
      {"DESCEND", RangeRequest::DESCEND}};
  static const std::map<std::string, RangeRequest::SortTarget> kTargets = {
      {"", RangeRequest::KEY},          {"KEY", RangeRequest::KEY},
      {"CREATE", RangeRequest::CREATE}, {"MODIFY", RangeRequest::MOD},
      {"VALUE", RangeRequest::VALUE},   {"VERSION", RangeRequest::VERSION}};
  const auto order = kOrders.find(absl::AsciiStrToUpper(get.order));
  if (order == kOrders.end()) return BadUsage(absl::StrCat("bad sort order ", get.order));
  const auto target = kTargets.find(absl::AsciiStrToUpper(get.sort_by));
  if (target == kTargets.end()) return BadUsage(absl::StrCat("bad sort target ", get.sort_by));
  request->set_sort_target(target->second);
  // As clientv3 does: ascending by key is the order of the answer anyway, and asking for it would
  // make the server read the whole range before it cuts.
  if (target->second == RangeRequest::KEY && order->second == RangeRequest::ASCEND) {
    request->set_sort_order(RangeRequest::NONE);
  } else {
    request->set_sort_order(order->second);
  }
  return absl::OkStatus();
}

// --prefix, --from-key and a range_end given in words, for get and del.
template <typename GetOrDelete, typename Request>
absl::Status SetRange(const GetOrDelete& arguments, Request* request) {
  if (arguments.prefix && arguments.from_key) {
    return BadUsage("--prefix and --from-key cannot be given together");
  }
  if (arguments.has_range_end && (arguments.prefix || arguments.from_key)) {
    return BadUsage("with --prefix or --from-key there is no range_end");
  }
  request->set_key(arguments.key);
  if (arguments.has_range_end) request->set_range_end(arguments.range_end);
  if (arguments.prefix || arguments.from_key) {
    if (arguments.key.empty()) request->set_key(std::string(kNoEnd));
    request->set_range_end(arguments.from_key || arguments.key.empty() ? std::string(kNoEnd)
                                                                       : PrefixEnd(arguments.key));
  }
  return absl::OkStatus();
}

// What CLI11 says about a line that it did not take, or about --help.
ParsedLine Refusal(const CLI::App& app, const CLI::ParseError& error) {
  ParsedLine parsed;
  std::ostringstream out;
  std::ostringstream err;
  const int code = app.exit(error, out, err);
  parsed.out = out.str();
  parsed.error = err.str();
  parsed.exit_code = code == 0 ? 0 : 2;
  return parsed;
}

ParsedLine BadLine(const std::string& why) {
  ParsedLine parsed;
  parsed.error = absl::StrCat("Error: ", why, "\nRun with --help for more information.\n");
  parsed.exit_code = 2;
  return parsed;
}

// As in etcdctl.
bool HasTable(Verb verb) {
  switch (verb) {
    case Verb::kGet:
    case Verb::kPut:
    case Verb::kDelete:
    case Verb::kTxn:
    case Verb::kLeaseGrant:
    case Verb::kLeaseRevoke:
    case Verb::kLeaseTimeToLive:
    case Verb::kLeaseKeepAlive:
    case Verb::kLeaseList:
    case Verb::kAlarmList:
    case Verb::kAlarmDisarm:
    case Verb::kWatch:
      return false;
    default:
      return true;
  }
}

ParsedLine ParseWords(const std::vector<std::string>& line) {
  ParsedLine parsed;
  // CLI11's callbacks point into it, and are gone before it is moved.
  Arguments* arguments = &parsed.arguments;
  CLI::App app("Reads and writes a Datum (or etcd) cluster; the verbs and flags are etcdctl's.",
               "datumctl");
  app.require_subcommand(1);
  app.footer(kExitCodes);
  AddGlobal(&app, arguments);
  AddVerbs(&app, arguments);
  try {
    // CLI11 takes the arguments from the back of the vector.
    app.parse(std::vector<std::string>(line.rbegin(), line.rend()));
  } catch (const CLI::ParseError& error) {
    ParsedLine refused = Refusal(app, error);
    // CLI11 misses a verb before it names the word that stands in its place.
    if (refused.exit_code != 0 && app.get_subcommands().empty() && app.remaining_size() > 0) {
      refused.error = absl::StrCat("unknown command '", app.remaining().front(),
                                   "'\nRun with --help for more information.\n");
    }
    return refused;
  }
  if (arguments->format == OutputFormat::kTable && !HasTable(arguments->verb)) {
    return BadLine("table not supported as output format");
  }
  arguments->has_call_timeout = app.count("--command-timeout") > 0;
  parsed.run = true;
  return parsed;
}

}  // namespace

CLI::Option* AddDuration(CLI::App* app, const std::string& name, absl::Duration* target,
                         const std::string& help) {
  return app
      ->add_option_function<std::string>(
          name,
          [name, target](const std::string& text) {
            absl::Duration parsed;
            if (!absl::ParseDuration(text, &parsed) || parsed <= absl::ZeroDuration()) {
              throw CLI::ValidationError(name, "'" + text + "' is not a duration like 5s or 300ms");
            }
            *target = parsed;
          },
          help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(*target));
}

void Becomes(CLI::App* app, Verb verb, Arguments* arguments) {
  app->callback([arguments, verb] { arguments->verb = verb; });
}

CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& help, Verb verb,
                  Arguments* arguments) {
  CLI::App* added = parent->add_subcommand(name, help);
  added->fallthrough();
  Becomes(added, verb, arguments);
  return added;
}

CLI::App* AddGroup(CLI::App* app, const std::string& name, const std::string& help) {
  CLI::App* group = app->add_subcommand(name, help);
  group->require_subcommand(1);
  group->fallthrough();
  return group;
}

ParsedLine ParseCommandLine(const std::vector<std::string>& line) {
  // A command for watch or lock stands behind "--"; for the other verbs that is any argument that
  // begins with '-'. Which verb it is shows when what stands before is understood.
  const auto separator = std::find(line.begin(), line.end(), "--");
  if (separator != line.end()) {
    ParsedLine parsed = ParseWords({line.begin(), separator});
    const Verb verb = parsed.arguments.verb;
    if (parsed.run && (verb == Verb::kWatch || verb == Verb::kLock)) {
      if (separator + 1 == line.end()) return BadLine("no command follows the --");
      std::vector<std::string>& command = parsed.arguments.command;
      command.insert(command.end(), separator + 1, line.end());
      return parsed;
    }
  }
  return ParseWords(line);
}

absl::StatusOr<etcdserverpb::RequestOp> ParseTxnOperation(const std::vector<std::string>& words) {
  Arguments arguments;
  CLI::App app;
  app.require_subcommand(1);
  CLI::App* put = app.add_subcommand("put");
  CLI::App* get = app.add_subcommand("get");
  CLI::App* del = app.add_subcommand("del");
  AddPut(put, &arguments.put);
  AddGet(get, &arguments.get);
  AddDelete(del, &arguments.del);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return BadUsage(error.what());
  }
  etcdserverpb::RequestOp op;
  if (put->parsed()) {
    if (!arguments.put.has_value && !arguments.put.ignore_value) return BadUsage("put: no value");
    absl::StatusOr<etcdserverpb::PutRequest> request = RequestOf(arguments.put, "");
    if (!request.ok()) return request.status();
    *op.mutable_request_put() = *std::move(request);
  } else if (get->parsed()) {
    absl::StatusOr<etcdserverpb::RangeRequest> request = RequestOf(arguments.get);
    if (!request.ok()) return request.status();
    *op.mutable_request_range() = *std::move(request);
  } else {
    absl::StatusOr<etcdserverpb::DeleteRangeRequest> request = RequestOf(arguments.del);
    if (!request.ok()) return request.status();
    *op.mutable_request_delete_range() = *std::move(request);
  }
  return op;
}

absl::StatusOr<etcdserverpb::RangeRequest> RequestOf(const GetArguments& get) {
  if (get.keys_only && get.count_only) {
    return BadUsage("--keys-only and --count-only cannot be given together");
  }
  if (get.max_create_revision > 0 && get.min_create_revision > get.max_create_revision) {
    return BadUsage("--min-create-rev is above --max-create-rev");
  }
  if (get.max_mod_revision > 0 && get.min_mod_revision > get.max_mod_revision) {
    return BadUsage("--min-mod-rev is above --max-mod-rev");
  }
  etcdserverpb::RangeRequest request;
  const absl::StatusOr<bool> serializable = IsSerializable(get.consistency);
  if (!serializable.ok()) return serializable.status();
  request.set_serializable(*serializable);
  absl::Status status = SetRange(get, &request);
  if (status.ok()) status = SetSort(get, &request);
  if (!status.ok()) return status;
  request.set_limit(get.limit);
  request.set_revision(std::max<int64_t>(get.revision, 0));
  request.set_keys_only(get.keys_only);
  request.set_count_only(get.count_only);
  request.set_min_create_revision(get.min_create_revision);
  request.set_max_create_revision(get.max_create_revision);
  request.set_min_mod_revision(get.min_mod_revision);
  request.set_max_mod_revision(get.max_mod_revision);
  return request;
}

absl::StatusOr<etcdserverpb::PutRequest> RequestOf(const PutArguments& put,
                                                   const std::string& stdin_value) {
  if (put.ignore_value && put.has_value) return BadUsage("with --ignore-value there is no value");
  // As etcdctl: a pipe whose other end failed must not empty a key.
  if (!put.ignore_value && !put.has_value && stdin_value.empty()) {
    return BadUsage("put command needs 1 argument and input from stdin or 2 arguments");
  }
  const absl::StatusOr<int64_t> lease = ParseLeaseId(put.lease);
  if (!lease.ok()) return lease.status();
  etcdserverpb::PutRequest request;
  request.set_key(put.key);
  if (!put.ignore_value) request.set_value(put.has_value ? put.value : stdin_value);
  request.set_lease(*lease);
  request.set_prev_kv(put.prev_kv);
  request.set_ignore_value(put.ignore_value);
  request.set_ignore_lease(put.ignore_lease);
  return request;
}

absl::StatusOr<etcdserverpb::DeleteRangeRequest> RequestOf(const DeleteArguments& del) {
  etcdserverpb::DeleteRangeRequest request;
  const absl::Status status = SetRange(del, &request);
  if (!status.ok()) return status;
  request.set_prev_kv(del.prev_kv);
  return request;
}

absl::StatusOr<etcdserverpb::WatchCreateRequest> RequestOf(const WatchArguments& watch) {
  if (!watch.has_key) return BadUsage("watch: the key is missing");
  etcdserverpb::WatchCreateRequest request;
  const absl::Status status = SetRange(watch, &request);
  if (!status.ok()) return status;
  request.set_start_revision(watch.revision);
  request.set_prev_kv(watch.prev_kv);
  request.set_progress_notify(watch.progress_notify);
  return request;
}

absl::StatusOr<WatchLine> ParseWatchLine(const std::vector<std::string>& words) {
  WatchLine line;
  const auto separator = std::find(words.begin(), words.end(), "--");
  if (separator != words.end()) {
    line.command.assign(separator + 1, words.end());
    if (line.command.empty()) return BadUsage("no command follows the --");
  }
  CLI::App app;
  app.require_subcommand(1);
  AddWatchFlags(app.add_subcommand("watch"), &line.watch);
  try {
    app.parse(std::vector<std::string>(std::reverse_iterator(separator), words.rend()));
  } catch (const CLI::ParseError& error) {
    return BadUsage(error.what());
  }
  return line;
}

absl::StatusOr<int64_t> ParseLeaseId(const std::string& hex) {
  int64_t id = 0;
  const char* end = hex.data() + hex.size();
  const auto [rest, failure] = std::from_chars(hex.data(), end, id, 16);
  if (failure != std::errc() || rest != end) {
    return BadUsage(absl::StrCat("'", hex, "' is not a lease id in hexadecimal"));
  }
  return id;
}

absl::StatusOr<uint64_t> ParseMemberId(const std::string& hex) {
  uint64_t id = 0;
  const char* end = hex.data() + hex.size();
  const auto [rest, failure] = std::from_chars(hex.data(), end, id, 16);
  if (failure != std::errc() || rest != end) {
    return BadUsage(absl::StrCat("'", hex, "' is not a member id in hexadecimal"));
  }
  return id;
}

}  // namespace client
