// SPDX-License-Identifier: Apache-2.0

#include "server/config.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/sha1.h"
#include "base/status.h"
#include "server/auto_compaction.h"

namespace server {
namespace {

absl::Status Invalid(std::string_view flag, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", std::string(flag), ": ", std::string(why)));
}

absl::Status CheckUrls(std::string_view flag, const std::vector<std::string>& urls) {
  if (urls.empty()) return Invalid(flag, "at least one URL is needed");
  for (const std::string& url : urls) {
    const auto parsed = ParseUrl(url);
    if (!parsed.ok()) return Invalid(flag, std::string(parsed.status().message()));
  }
  return absl::OkStatus();
}

uint64_t HashToId(std::string_view bytes) {
  const auto digest = base::Sha1(bytes);
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id = id << 8 | digest[i];
  return id;
}

uint64_t MemberId(std::vector<std::string> peer_urls, const std::string& token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  return HashToId(absl::StrJoin(peer_urls, "") + token);
}

uint64_t ClusterId(const std::vector<InitialMember>& members) {
  std::string bytes;
  for (const InitialMember& member : members) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<char>((member.id >> shift) & 0xff));
    }
  }
  return HashToId(bytes);
}

using UrlsByName = std::map<std::string, std::vector<std::string>>;

absl::StatusOr<UrlsByName> ParseInitialCluster(const std::string& text) {
  UrlsByName urls_by_name;
  std::set<std::string> seen;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  for (const std::string& part : parts) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Invalid("initial-cluster", absl::StrCat("'", part, "' is not name=url"));
    }
    const std::string url = part.substr(equals + 1);
    const auto parsed = ParseUrl(url);
    if (!parsed.ok()) return Invalid("initial-cluster", std::string(parsed.status().message()));
    if (!seen.insert(url).second) {
      return Invalid("initial-cluster", absl::StrCat(url, " is given twice"));
    }
    urls_by_name[part.substr(0, equals)].push_back(url);
  }
  return urls_by_name;
}

}  // namespace

std::string HostPort::Address() const { return absl::StrCat(host, ":", port); }

absl::StatusOr<HostPort> ParseUrl(std::string_view text) {
  const std::string url(text);
  const size_t colons = url.find("://");
  if (colons == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "' is not a URL like http://host:port"));
  }
  const std::string scheme = url.substr(0, colons);
  if (scheme == "https" || scheme == "unix" || scheme == "unixs") {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "': ", scheme, " is not served yet, only http"));
  }
  if (scheme != "http") {
    return absl::InvalidArgumentError(absl::StrCat("'", url, "': unknown scheme ", scheme));
  }
  std::string authority = url.substr(colons + 3);
  if (!authority.empty() && authority.back() == '/') authority.pop_back();
  const size_t colon = authority.rfind(':');
  HostPort parsed;
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 ||
      authority.find_first_of("/?#@") != std::string::npos ||
      !absl::SimpleAtoi(authority.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "' is not a URL like http://host:port"));
  }
  parsed.host = authority.substr(0, colon);
  parsed.port = static_cast<uint16_t>(port);
  return parsed;
}

absl::Status Config::Validate() const {
  if (name.empty()) return Invalid("name", "it must not be empty");
  if (name.find_first_of(",=/") != std::string::npos) {
    return Invalid("name", "it must not hold a comma, '=' or '/'");
  }
  RETURN_IF_ERROR(CheckUrls("listen-client-urls", listen_client_urls));
  RETURN_IF_ERROR(CheckUrls("advertise-client-urls", advertise_client_urls));
  RETURN_IF_ERROR(CheckUrls("listen-peer-urls", listen_peer_urls));
  RETURN_IF_ERROR(CheckUrls("initial-advertise-peer-urls", initial_advertise_peer_urls));
  if (initial_cluster_state != "new" && initial_cluster_state != "existing") {
    return Invalid("initial-cluster-state", "it is 'new' or 'existing'");
  }
  if (heartbeat_interval < std::chrono::milliseconds(1)) {
    return Invalid("heartbeat-interval", "it must be at least 1 ms");
  }
  if (election_timeout < 5 * heartbeat_interval) {
    return Invalid("election-timeout", "it must be at least five heartbeat intervals");
  }
  if (election_timeout > std::chrono::seconds(50)) {
    return Invalid("election-timeout", "it must be at most 50000 ms");
  }
  // Twice as many must fit into what waits for the log (raft::NodeOptions::inbox_bytes_max).
  if (max_request_bytes == 0 || max_request_bytes > (uint64_t{32} << 20)) {
    return Invalid("max-request-bytes", "it must be from 1 to 33554432");
  }
  if (max_txn_ops == 0 || max_txn_ops > 1'000'000) {
    return Invalid("max-txn-ops", "it must be from 1 to 1000000");
  }
  if (max_concurrent_streams == 0) return Invalid("max-concurrent-streams", "it must not be 0");
  if (rpc_memory_bytes < (64 << 20)) {
    return Invalid("rpc-memory-bytes", "it must be at least 67108864");
  }
  if (watch_progress_notify_interval < std::chrono::milliseconds(100)) {
    return Invalid("watch-progress-notify-interval", "it must be at least 100ms");
  }
  const auto compaction = ParseAutoCompaction(auto_compaction_mode, auto_compaction_retention);
  if (!compaction.ok()) {
    return Invalid("auto-compaction-retention", std::string(compaction.status().message()));
  }
  if (answer_memory_bytes == 0) return Invalid("answer-memory-bytes", "it must not be 0");
  if (unread_timeout < std::chrono::seconds(1)) {
    return Invalid("unread-timeout", "it must be at least 1s");
  }
  if (max_watchers == 0) return Invalid("max-watchers", "it must not be 0");
  if (watch_stream_bytes < (64 << 10)) {
    return Invalid("watch-stream-bytes", "it must be at least 65536");
  }
  static const std::set<std::string> kLevels = {"debug", "info", "warn", "error", "panic", "fatal"};
  if (kLevels.count(log_level) == 0) {
    return Invalid("log-level", "it is debug, info, warn, error, panic or fatal");
  }
  return absl::OkStatus();
}

absl::StatusOr<InitialCluster> ComputeInitialCluster(const Config& config) {
  UrlsByName urls_by_name;
  if (config.initial_cluster.empty()) {
    urls_by_name[config.name] = config.initial_advertise_peer_urls;
  } else {
    ASSIGN_OR_RETURN(urls_by_name, ParseInitialCluster(config.initial_cluster));
  }
  const auto self = urls_by_name.find(config.name);
  if (self == urls_by_name.end()) {
    return Invalid("initial-cluster",
                   absl::StrCat("this member's name '", config.name, "' is not in it"));
  }
  const auto& advertised = config.initial_advertise_peer_urls;
  if (!std::is_permutation(self->second.begin(), self->second.end(), advertised.begin(),
                           advertised.end())) {
    return Invalid(
        "initial-cluster",
        absl::StrCat("it has ", config.name, "=", absl::StrJoin(self->second, ","),
                     ", but --initial-advertise-peer-urls is ", absl::StrJoin(advertised, ",")));
  }
  InitialCluster cluster;
  for (const auto& [name, urls] : urls_by_name) {
    cluster.members.push_back({MemberId(urls, config.initial_cluster_token), name, urls});
  }
  std::sort(cluster.members.begin(), cluster.members.end(),
            [](const InitialMember& a, const InitialMember& b) { return a.id < b.id; });
  cluster.self = MemberId(self->second, config.initial_cluster_token);
  cluster.cluster_id = ClusterId(cluster.members);
  return cluster;
}

}  // namespace server
