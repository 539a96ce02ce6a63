// SPDX-License-Identifier: Apache-2.0
//
// app.h: one member, from its flags to serving and to its end.
//
// Starts in the order disk, node, peers, services, and ends in the opposite one, except that
// services go on until what they have begun is answered.

#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "raft/node/node.h"
#include "rpc/grpc_server.h"
#include "rpc/handler.h"
#include "rpc/health.h"
#include "server/cluster_service.h"
#include "server/config.h"
#include "server/gate.h"
#include "server/kv_service.h"
#include "server/maintenance_service.h"
#include "server/peer_transport.h"
#include "server/real_parts.h"
#include "server/storage.h"

namespace server {

class App {
 public:
  // Listens when it returns; says "ready to serve client requests" once the cluster knows of it.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config);
  // Stops first if it still runs.
  ~App();

  // Ends cleanly: what is under way is answered or told that the server stops. Idempotent.
  void Stop();

 private:
  App(const Config& config, const InitialCluster& cluster, std::unique_ptr<Storage> storage);

  absl::Status Listen();
  // Tells the cluster this member's name and client URLs, until it knows.
  void PublishAttributes();
  // What must be done now and then, off every path: compaction, flushes, the next log segment.
  void Upkeep();
  bool StopsWithin(base::Duration pause);

  const Config config_;
  const InitialCluster cluster_;
  const base::SystemClock clock_;
  const std::unique_ptr<Storage> storage_;
  PeerTransport peers_;
  raft::Node node_;
  NodeReplica replica_;
  MachineState state_;
  Gate gate_;
  KvService kv_;
  MaintenanceService maintenance_;
  ClusterService members_;
  rpc::HealthService health_;
  rpc::Registry client_registry_;
  rpc::Registry peer_registry_;
  std::unique_ptr<rpc::GrpcServer> peer_server_;
  std::unique_ptr<rpc::GrpcServer> client_server_;

  std::mutex mutex_;
  std::condition_variable stop_asked_;
  bool stopping_ = false;
  std::thread publisher_;
  std::thread upkeep_;
};

}  // namespace server
