// SPDX-License-Identifier: Apache-2.0

#include "server/flags.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "glog/logging.h"

namespace server {
namespace {

enum class Effect {
  kServed,
  kIgnored,  // accepted for etcd's sake; nothing depends on it
  kRefused,  // what it asks for is not there yet, and silence would be a lie
};

struct Flag {
  std::string name;
  std::string group;
  std::string takes;  // the kind of value and its unit; "bool" may stand without a value
  std::string default_text;
  std::string help;
  Effect effect = Effect::kServed;
  std::function<absl::Status(const std::string& value, Config* config)> set;
};

absl::Status Malformed(const std::string& value, const std::string& takes) {
  return absl::InvalidArgumentError(absl::StrCat("'", value, "' is not ", takes));
}

auto SetString(std::string Config::*field) {
  return [field](const std::string& value, Config* config) {
    config->*field = value;
    return absl::OkStatus();
  };
}

auto SetUrls(std::vector<std::string> Config::*field) {
  return [field](const std::string& value, Config* config) {
    config->*field = absl::StrSplit(value, ',', absl::SkipEmpty());
    return absl::OkStatus();
  };
}

auto SetNumber(uint64_t Config::*field) {
  return [field](const std::string& value, Config* config) -> absl::Status {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(value, &number)) return Malformed(value, "a whole number");
    config->*field = number;
    return absl::OkStatus();
  };
}

auto SetBool(bool Config::*field) {
  return [field](const std::string& value, Config* config) {
    config->*field = value == "true";
    return absl::OkStatus();
  };
}

// etcd has 0, and anything below, for the default.
absl::Status SetQuota(const std::string& value, Config* config) {
  int64_t bytes = 0;
  if (!absl::SimpleAtoi(value, &bytes)) return Malformed(value, "a whole number of bytes");
  config->quota_backend_bytes =
      bytes > 0 ? static_cast<uint64_t>(bytes) : Config().quota_backend_bytes;
  return absl::OkStatus();
}

auto SetMilliseconds(base::Duration Config::*field) {
  return [field](const std::string& value, Config* config) -> absl::Status {
    uint32_t milliseconds = 0;
    if (!absl::SimpleAtoi(value, &milliseconds)) return Malformed(value, "a number of ms");
    config->*field = std::chrono::milliseconds(milliseconds);
    return absl::OkStatus();
  };
}

auto SetDuration(base::Duration Config::*field) {
  return [field](const std::string& value, Config* config) -> absl::Status {
    absl::Duration duration;
    if (!absl::ParseDuration(value, &duration) || duration < absl::ZeroDuration()) {
      return Malformed(value, "a duration like 20s or 2h");
    }
    config->*field = absl::ToChronoNanoseconds(duration);
    return absl::OkStatus();
  };
}

std::vector<Flag> MemberFlags() {
  const std::string kGroup = "Member";
  return {
      {"name", kGroup, "text", "default", "The name of this member.", Effect::kServed,
       SetString(&Config::name)},
      {"data-dir", kGroup, "path", "${name}.datum",
       "The directory with the log, the state and what this member promised.", Effect::kServed,
       SetString(&Config::data_dir)},
      {"listen-client-urls", kGroup, "URLs", "http://127.0.0.1:2379",
       "Where to listen for clients, separated by commas.", Effect::kServed,
       SetUrls(&Config::listen_client_urls)},
      {"advertise-client-urls", kGroup, "URLs", "http://localhost:2379",
       "Where clients reach this member, as the member list says it.", Effect::kServed,
       SetUrls(&Config::advertise_client_urls)},
      {"listen-peer-urls", kGroup, "URLs", "http://127.0.0.1:2380",
       "Where to listen for the other members.", Effect::kServed,
       SetUrls(&Config::listen_peer_urls)},
      {"heartbeat-interval", kGroup, "ms", "50", "Between two heartbeats of the leader.",
       Effect::kServed, SetMilliseconds(&Config::heartbeat_interval)},
      {"election-timeout", kGroup, "ms", "400",
       "Without a heartbeat for one to two of these, an election begins.", Effect::kServed,
       SetMilliseconds(&Config::election_timeout)},
  };
}

std::vector<Flag> ClusterFlags() {
  const std::string kGroup = "Cluster";
  return {
      {"initial-advertise-peer-urls", kGroup, "URLs", "http://localhost:2380",
       "Where the other members reach this one.", Effect::kServed,
       SetUrls(&Config::initial_advertise_peer_urls)},
      {"initial-cluster", kGroup, "name=URL,...", "this member alone",
       "All members of a new cluster.", Effect::kServed, SetString(&Config::initial_cluster)},
      {"initial-cluster-token", kGroup, "text", "etcd-cluster",
       "Tells clusters with the same URLs apart.", Effect::kServed,
       SetString(&Config::initial_cluster_token)},
      {"initial-cluster-state", kGroup, "new|existing", "new",
       "'existing': this member was added to a cluster that runs; an empty data directory waits "
       "for "
       "that cluster. A member with 'new' joins too if the cluster lives already.",
       Effect::kServed, SetString(&Config::initial_cluster_state)},
      {"strict-reconfig-check", kGroup, "bool", "true",
       "Refuse changes of the members that would leave no quorum of started members, or that are "
       "made while members are not connected.",
       Effect::kServed, SetBool(&Config::strict_reconfig_check)},
      {"replace-wiped-members", kGroup, "bool", "true",
       "A member that starts with an empty data directory under its old name and peer URLs is "
       "replaced by a new one: a learner first, which votes once it has caught up.",
       Effect::kServed, SetBool(&Config::replace_wiped_members)},
  };
}

constexpr char kLimits[] = "Limits and memory";

std::vector<Flag> LimitFlags() {
  const std::string kGroup = kLimits;
  return {
      {"quota-backend-bytes", kGroup, "bytes", "2147483648",
       "What the store may hold, versions that are not compacted among it; beyond it the NOSPACE "
       "alarm is raised and writes that take space are refused; 0 for the default.",
       Effect::kServed, SetQuota},
      {"auto-compaction-mode", kGroup, "periodic|revision", "periodic",
       "What --auto-compaction-retention counts.", Effect::kServed,
       SetString(&Config::auto_compaction_mode)},
      {"auto-compaction-retention", kGroup, "duration, hours or revisions", "0",
       "How much history is kept, such as 30m, or a number of hours; with 'revision', of "
       "revisions. 0 keeps all until somebody compacts.",
       Effect::kServed, SetString(&Config::auto_compaction_retention)},
      {"max-request-bytes", kGroup, "bytes", "1572864", "The largest request that is taken.",
       Effect::kServed, SetNumber(&Config::max_request_bytes)},
      {"max-txn-ops", kGroup, "number", "128", "The most operations of one Txn.", Effect::kServed,
       SetNumber(&Config::max_txn_ops)},
      {"max-concurrent-streams", kGroup, "number", "4294967295",
       "The most calls at once on one connection.", Effect::kServed,
       SetNumber(&Config::max_concurrent_streams)},
      {"grpc-keepalive-min-time", kGroup, "duration", "5s",
       "A client that pings more often is sent away.", Effect::kServed,
       SetDuration(&Config::grpc_keepalive_min_time)},
      {"grpc-keepalive-interval", kGroup, "duration", "2h", "A silent client is pinged after it.",
       Effect::kServed, SetDuration(&Config::grpc_keepalive_interval)},
      {"grpc-keepalive-timeout", kGroup, "duration", "20s",
       "A client that does not answer a ping is dropped after it.", Effect::kServed,
       SetDuration(&Config::grpc_keepalive_timeout)},
      {"watch-progress-notify-interval", kGroup, "duration", "10m",
       "Watchers that ask for it hear so often, or a tenth later, how far they are.",
       Effect::kServed, SetDuration(&Config::watch_progress_notify_interval)},
  };
}

std::vector<Flag> MemoryFlags() {
  const std::string kGroup = kLimits;
  return {
      {"max-watchers", kGroup, "number", "1000000", "The most watchers on this member.",
       Effect::kServed, SetNumber(&Config::max_watchers)},
      {"watch-stream-bytes", kGroup, "bytes", "4194304",
       "What may be sent on one watch stream and not yet read by its client; its watchers go on "
       "from the disk when it has been.",
       Effect::kServed, SetNumber(&Config::watch_stream_bytes)},
      {"watch-memory-bytes", kGroup, "bytes", "268435456",
       "The same of all watch streams together; beyond it each may have 65536.", Effect::kServed,
       SetNumber(&Config::watch_memory_bytes)},
      {"answer-memory-bytes", kGroup, "bytes", "134217728",
       "What answers of KV, Lease and Election above 4096 bytes, and chunks of RangeStream, may "
       "take together until clients have read them; others wait, then are refused, also writes "
       "that answer with values.",
       Effect::kServed, SetNumber(&Config::answer_memory_bytes)},
      {"unread-timeout", kGroup, "duration", "1m",
       "A client that lets an answer above 4096 bytes, one of many small ones, or pieces of a "
       "stream lie for so long together, and a second more for each 256 KiB, is sent away.",
       Effect::kServed, SetDuration(&Config::unread_timeout)},
      {"log-reserve-bytes", kGroup, "bytes", "268435456",
       "What is kept of the Raft log for members that lag; behind it they get the whole state.",
       Effect::kServed, SetNumber(&Config::log_reserve_bytes)},
      {"snapshot-rate-bytes", kGroup, "bytes", "134217728",
       "A whole state is sent to another member at this rate a second; 0 is as fast as it goes.",
       Effect::kServed, SetNumber(&Config::snapshot_rate_bytes)},
      {"min-free-bytes", kGroup, "bytes", "268435456",
       "With less free below the data directory (or, on a small disk, with less than a twentieth "
       "of it) the NOSPACE alarm is raised and puts are refused until there is room again.",
       Effect::kServed, SetNumber(&Config::min_free_bytes)},
      {"block-cache-bytes", kGroup, "bytes", "268435456",
       "What the state keeps of its files in memory.", Effect::kServed,
       SetNumber(&Config::block_cache_bytes)},
      {"write-buffer-bytes", kGroup, "bytes", "268435456",
       "What the state keeps in memory before it writes a file.", Effect::kServed,
       SetNumber(&Config::write_buffer_bytes)},
      {"rpc-memory-bytes", kGroup, "bytes", "1073741824",
       "What all connections together may hold in memory.", Effect::kServed,
       SetNumber(&Config::rpc_memory_bytes)},
      {"log-level", "Log", "level", "info", "debug, info, warn, error, panic or fatal; to stderr.",
       Effect::kServed, SetString(&Config::log_level)},
  };
}

// Names alone: what they take is etcd's business until they are served.
std::vector<Flag> NamesOnly(Effect effect, const std::string& takes,
                            const std::vector<std::string>& names) {
  std::vector<Flag> flags;
  for (const std::string& name : names) {
    flags.push_back({name, "", takes, "", "", effect, nullptr});
  }
  return flags;
}

std::vector<Flag> IgnoredFlags() {
  std::vector<Flag> flags = NamesOnly(Effect::kIgnored, "text",
                                      {"snapshot-count",
                                       "snapshot-catchup-entries",
                                       "max-snapshots",
                                       "max-wals",
                                       "auth-token-ttl",
                                       "bcrypt-cost",
                                       "logger",
                                       "log-outputs",
                                       "log-format",
                                       "log-rotation-config-json",
                                       "metrics",
                                       "cors",
                                       "host-whitelist",
                                       "backend-batch-interval",
                                       "backend-batch-limit",
                                       "backend-bbolt-freelist-type",
                                       "warning-apply-duration",
                                       "warning-unary-request-duration",
                                       "compaction-batch-limit",
                                       "compaction-sleep-interval",
                                       "max-learners",
                                       "feature-gates",
                                       "downgrade-check-time",
                                       "corrupt-check-time",
                                       "compact-hash-check-time"});
  const std::vector<Flag> switches =
      NamesOnly(Effect::kIgnored, "bool",
                {"pre-vote", "enable-pprof", "enable-grpc-gateway", "enable-log-rotation",
                 "initial-election-tick-advance", "socket-reuse-port", "socket-reuse-address",
                 "memory-mlock"});
  flags.insert(flags.end(), switches.begin(), switches.end());
  return flags;
}

std::vector<Flag> RefusedFlags() {
  std::vector<Flag> flags = NamesOnly(Effect::kRefused, "text",
                                      {"cert-file",
                                       "key-file",
                                       "trusted-ca-file",
                                       "client-crl-file",
                                       "client-cert-allowed-hostname",
                                       "peer-cert-file",
                                       "peer-key-file",
                                       "peer-trusted-ca-file",
                                       "peer-crl-file",
                                       "peer-cert-allowed-cn",
                                       "peer-cert-allowed-hostname",
                                       "cipher-suites",
                                       "tls-min-version",
                                       "tls-max-version",
                                       "self-signed-cert-validity",
                                       "auth-token",
                                       "config-file",
                                       "wal-dir",
                                       "listen-metrics-urls",
                                       "listen-client-http-urls",
                                       "discovery",
                                       "discovery-srv",
                                       "discovery-token",
                                       "discovery-endpoints",
                                       "distributed-tracing-address"});
  const std::vector<Flag> switches =
      NamesOnly(Effect::kRefused, "bool",
                {"client-cert-auth", "auto-tls", "peer-client-cert-auth", "peer-auto-tls",
                 "force-new-cluster", "unsafe-no-fsync", "enable-distributed-tracing"});
  flags.insert(flags.end(), switches.begin(), switches.end());
  return flags;
}

const std::vector<Flag>& AllFlags() {
  static const auto* const kFlags = [] {
    auto* all = new std::vector<Flag>();
    const auto add = [all](const std::vector<Flag>& flags) {
      all->insert(all->end(), flags.begin(), flags.end());
    };
    add(MemberFlags());
    add(ClusterFlags());
    add(LimitFlags());
    add(MemoryFlags());
    add(IgnoredFlags());
    add(RefusedFlags());
    return all;
  }();
  return *kFlags;
}

const Flag* FindFlag(const std::string& name) {
  static const auto* const kByName = [] {
    auto* by_name = new std::map<std::string, const Flag*>();
    for (const Flag& flag : AllFlags()) {
      CHECK(by_name->emplace(flag.name, &flag).second) << flag.name;
    }
    return by_name;
  }();
  const auto found = kByName->find(name);
  return found == kByName->end() ? nullptr : found->second;
}

// A value that asks for nothing: the flag may as well not have been given.
bool AsksForNothing(const Flag& flag, const std::string& value) {
  static const std::map<std::string, std::string> kDefaults = {{"auth-token", "simple"}};
  const auto found = kDefaults.find(flag.name);
  if (found != kDefaults.end() && value == found->second) return true;
  return value.empty() || (flag.takes == "bool" && value == "false");
}

absl::Status Apply(const Flag& flag, const std::string& shown_name, const std::string& value,
                   CommandLine* line) {
  if (flag.takes == "bool" && value != "true" && value != "false") {
    return absl::InvalidArgumentError(
        absl::StrCat(shown_name, ": '", value, "' is not true or false"));
  }
  switch (flag.effect) {
    case Effect::kRefused:
      if (AsksForNothing(flag, value)) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(shown_name, ": this version does not serve it yet; leave it out"));
    case Effect::kIgnored:
      line->without_effect.push_back(shown_name);
      return absl::OkStatus();
    case Effect::kServed:
      break;
  }
  const absl::Status status = flag.set(value, &line->config);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(shown_name, ": ", std::string(status.message())));
}

std::string EnvironmentName(const std::string& flag_name) {
  return absl::StrCat("ETCD_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag_name, {{"-", "_"}})));
}

// What follows from other flags unless it is given itself.
void FillDefaults(const std::set<std::string>& given, Config* config) {
  if (config->data_dir.empty()) config->data_dir = config->name + ".datum";
  if (given.count("listen-client-urls") > 0 && given.count("advertise-client-urls") == 0) {
    config->advertise_client_urls = config->listen_client_urls;
  }
}

absl::Status Read(const std::vector<std::string>& arguments, std::set<std::string>* given,
                  CommandLine* line) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-' || argument == "--") {
      return absl::InvalidArgumentError(
          absl::StrCat("'", argument, "' is not a flag, and there are no other arguments"));
    }
    const size_t dashes = argument[1] == '-' ? 2 : 1;
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(dashes, equals - dashes);
    if (name == "help" || name == "h" || name == "version") {
      line->action = name == "version" ? CommandLine::Action::kVersion : CommandLine::Action::kHelp;
      return absl::OkStatus();
    }
    const Flag* flag = FindFlag(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag --", name));
    }
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (flag->takes == "bool") {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": it needs a value"));
    }
    given->insert(name);
    RETURN_IF_ERROR(Apply(*flag, "--" + name, value, line));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const Environment& environment) {
  CommandLine from_arguments;
  std::set<std::string> given;
  RETURN_IF_ERROR(Read(arguments, &given, &from_arguments));
  if (from_arguments.action != CommandLine::Action::kServe) return from_arguments;

  // Read again on top of the environment, which comes first because it counts less.
  CommandLine line;
  std::set<std::string> given_at_all = given;
  for (const Flag& flag : AllFlags()) {
    if (given.count(flag.name) > 0) continue;
    const std::string name = EnvironmentName(flag.name);
    const std::optional<std::string> value = environment(name);
    if (!value.has_value() || value->empty()) continue;
    given_at_all.insert(flag.name);
    RETURN_IF_ERROR(Apply(flag, name, *value, &line));
  }
  RETURN_IF_ERROR(Read(arguments, &given, &line));
  FillDefaults(given_at_all, &line.config);
  RETURN_IF_ERROR(line.config.Validate());
  return line;
}

std::string HelpText() {
  std::string text =
      "datum: a persistent, replicated key-value store that speaks the etcd v3 API.\n\n"
      "Without flags: one member on 127.0.0.1:2379, data in default.datum.\n"
      "Each flag may also be given as ETCD_<NAME>, e.g. ETCD_LISTEN_CLIENT_URLS.\n\n"
      "  --help\n      This text.\n  --version\n      The versions of the API and of Datum.\n";
  std::string group;
  std::vector<std::string> ignored, refused;
  for (const Flag& flag : AllFlags()) {
    if (flag.effect == Effect::kIgnored) ignored.push_back("--" + flag.name);
    if (flag.effect == Effect::kRefused) refused.push_back("--" + flag.name);
    if (flag.effect != Effect::kServed) continue;
    if (flag.group != group) absl::StrAppend(&text, "\n", flag.group, ":\n");
    group = flag.group;
    absl::StrAppend(&text, "  --", flag.name, " <", flag.takes, ">  (default: ", flag.default_text,
                    ")\n      ", flag.help, "\n");
  }
  absl::StrAppend(&text, "\nAccepted, without effect:\n  ", absl::StrJoin(ignored, "\n  "),
                  "\n\nRefused, since what they ask for is not there yet:\n  ",
                  absl::StrJoin(refused, "\n  "), "\n");
  return text;
}

std::string VersionText() {
  return absl::StrCat("etcd Version: ", kApiVersion, "\nDatum Version: ", kDatumVersion, "\n");
}

void StartLog(const char* program, const std::string& log_level) {
  // Nothing by glog itself, which would wait for whoever reads stderr: app_log.h writes.
  FLAGS_logtostderr = false;
  FLAGS_stderrthreshold = google::NUM_SEVERITIES;
  if (log_level == "debug") FLAGS_v = 1;
  if (log_level == "warn") FLAGS_minloglevel = google::GLOG_WARNING;
  if (log_level == "error") FLAGS_minloglevel = google::GLOG_ERROR;
  if (log_level == "panic" || log_level == "fatal") FLAGS_minloglevel = google::GLOG_FATAL;
  google::InitGoogleLogging(program);
}

}  // namespace server
