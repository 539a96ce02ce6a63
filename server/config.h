// SPDX-License-Identifier: Apache-2.0
//
// config.h: everything that can be set about a server, and what follows from it.
//
// Errors: InvalidArgument; the text names the flag.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"

namespace server {

struct Config {
  std::string name = "default";
  // Empty: "<name>.datum" in the working directory.
  std::string data_dir;
  std::vector<std::string> listen_client_urls = {"http://127.0.0.1:2379"};
  std::vector<std::string> advertise_client_urls = {"http://localhost:2379"};
  std::vector<std::string> listen_peer_urls = {"http://127.0.0.1:2380"};
  std::vector<std::string> initial_advertise_peer_urls = {"http://localhost:2380"};
  // "name=url,name=url"; empty: this member alone.
  std::string initial_cluster;
  std::string initial_cluster_token = "etcd-cluster";
  std::string initial_cluster_state = "new";

  // Changes of the membership that would meet or leave too few members are refused.
  bool strict_reconfig_check = true;
  // A member that starts without its data directory is taken in again, as a new one.
  bool replace_wiped_members = true;

  base::Duration heartbeat_interval = std::chrono::milliseconds(50);
  base::Duration election_timeout = std::chrono::milliseconds(400);

  uint64_t quota_backend_bytes = uint64_t{2} << 30;
  // "periodic" or "revision", and how much of it is kept; see server/auto_compaction.h.
  std::string auto_compaction_mode;
  std::string auto_compaction_retention;
  uint64_t max_request_bytes = 1'572'864;
  uint64_t max_txn_ops = 128;
  uint64_t max_concurrent_streams = UINT32_MAX;
  base::Duration grpc_keepalive_min_time = std::chrono::seconds(5);
  base::Duration grpc_keepalive_interval = std::chrono::hours(2);
  base::Duration grpc_keepalive_timeout = std::chrono::seconds(20);

  uint64_t max_watchers = 1'000'000;
  // What is sent and not yet read: on one watch stream, on all.
  uint64_t watch_stream_bytes = 4 << 20;
  uint64_t watch_memory_bytes = 256 << 20;
  base::Duration watch_progress_notify_interval = std::chrono::minutes(10);

  // What large answers to Range and Txn, and chunks of RangeStream, may take together until they
  // have left.
  uint64_t answer_memory_bytes = 128 << 20;
  // As rpc::GrpcServerOptions::unread_max.
  base::Duration unread_timeout = std::chrono::minutes(1);

  uint64_t log_reserve_bytes = 256 << 20;
  // What a whole state is sent at to another member, a second. 0: as fast as it goes.
  uint64_t snapshot_rate_bytes = 128 << 20;
  // Below so much free space the NOSPACE alarm is raised.
  uint64_t min_free_bytes = 256 << 20;
  uint64_t block_cache_bytes = 256 << 20;
  uint64_t write_buffer_bytes = 256 << 20;
  uint64_t rpc_memory_bytes = 1 << 30;

  // debug, info, warn, error, panic or fatal.
  std::string log_level = "info";

  // All but --initial-cluster, which counts for a directory alone that does not know yet whose it
  // is: members may have moved since (ComputeInitialCluster).
  absl::Status Validate() const;

  // How long a request may take that brings no deadline of its own, as etcd has it.
  base::Duration RequestTimeout() const { return std::chrono::seconds(5) + 2 * election_timeout; }
};

// A URL that a member listens on or is reached at.
struct HostPort {
  std::string host;  // an IPv6 address keeps its brackets
  uint16_t port = 0;
  std::string Address() const;
};

// Errors: what is not http://host:port; https and unix are told that they are not served yet.
absl::StatusOr<HostPort> ParseUrl(std::string_view url);

// A member as the first configuration knows it.
struct InitialMember {
  uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls;
};

// The cluster as --initial-cluster says. All members compute the same, as etcd does: a member's
// id is a hash of its peer URLs and the token, the cluster's a hash of its members' ids.
struct InitialCluster {
  uint64_t cluster_id = 0;
  uint64_t self = 0;
  std::vector<InitialMember> members;  // ascending by id
};

// Requires: config.Validate().ok(). Errors: what is wrong with --initial-cluster.
absl::StatusOr<InitialCluster> ComputeInitialCluster(const Config& config);

}  // namespace server
