// SPDX-License-Identifier: Apache-2.0
//
// app.h: one member, from its flags to serving and to its end.
//
// Starts in the order disk, node, peers, services, and ends in the opposite one, except that
// services go on until what they have begun is answered.

#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "raft/node/node.h"
#include "rpc/grpc_server.h"
#include "rpc/handler.h"
#include "rpc/health.h"
#include "server/answer_memory.h"
#include "server/app_background.h"
#include "server/backup_service.h"
#include "server/cluster_service.h"
#include "server/compaction_waiters.h"
#include "server/config.h"
#include "server/configuration_changer.h"
#include "server/election_service.h"
#include "server/gate.h"
#include "server/introduce_service.h"
#include "server/key_waiters.h"
#include "server/kv_service.h"
#include "server/lease_keeper.h"
#include "server/lease_service.h"
#include "server/lock_service.h"
#include "server/maintenance_service.h"
#include "server/member_keeper.h"
#include "server/no_space_alarm.h"
#include "server/peer_book.h"
#include "server/peer_transport.h"
#include "server/quota.h"
#include "server/range_stream.h"
#include "server/real_parts.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"
#include "server/space_gate.h"
#include "server/storage.h"
#include "server/transfers.h"
#include "server/turns.h"
#include "server/upkeep.h"
#include "server/watch_service.h"
#include "store/watch_hub.h"

namespace server {

class App {
 public:
  struct Signals {
    // While a start with an empty directory waits for the others: whether it is to give up.
    std::function<bool()> stop_asked;
    // The member cannot go on: somebody shall call Stop, from another thread.
    std::function<void()> end;
  };

  // Listens when it returns; says "ready to serve client requests" once the cluster knows of it.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config, Signals signals);
  // Stops first if it still runs.
  ~App();

  // Ends cleanly: leadership is handed over, what is under way is answered or told that the server
  // stops. Idempotent.
  void Stop();

  // It ended by itself: its text for the user. Empty otherwise.
  std::string why_ended() const;

 private:
  App(const Config& config, std::unique_ptr<Storage> storage, Signals signals);

  absl::Status Listen();
  // Tells the cluster this member's name and client URLs, until it knows.
  void PublishAttributes();
  // What must be done now and then, off every path (server/upkeep.h).
  void KeepUp();
  // Passes changes on to those who watch (store/watch_hub.h).
  void KeepWatchersTold();
  // Looks after the members (server/member_keeper.h).
  void KeepMembers();
  void HandOver();
  void EndBecause(const std::string& why);
  void SaveConfiguration(const Membership& membership);
  // What goes by what is applied hears of it from here on.
  void FollowState();
  PeerTransport::Hooks TransportHooks();
  MemberKeeper::Parts KeeperParts();
  ClusterServiceOptions ClusterOptions() const;
  absl::StatusOr<PeerAddress> FindPeer(raft::NodeId peer) const;
  bool StopsWithin(base::Duration pause);

  const Config config_;
  const Signals signals_;
  const base::SystemClock clock_;
  const std::unique_ptr<Storage> storage_;
  MachineState state_;
  Transfers transfers_;
  PeerBook book_;
  BookedLog log_;
  PeerTransport peers_;
  SnapshotReceiver snapshots_in_;
  SnapshotSender snapshots_out_;
  store::WatchHub watch_hub_;
  // Before the node, whose first report wakes it.
  LeaseKeeper leases_;
  raft::Node node_;
  NodeReplica replica_;
  ConfigurationChanger changer_;
  MemberKeeper keeper_;
  Quota quota_;
  CompactionWaiters compactions_;
  NoSpaceAlarm alarm_;
  Upkeep upkeep_;
  Gate gate_;
  SpaceGate space_gate_;
  AnswerMemory answer_memory_;
  Background background_;
  Background backup_threads_;
  KvService kv_;
  RangeStreamService range_streams_;
  WatchService watches_;
  MaintenanceService maintenance_;
  BackupService backups_;
  LeaseService lease_service_;
  KeyWaiters waiters_;
  Turns turns_;
  LockService locks_;
  ElectionService elections_;
  ClusterService members_;
  IntroduceService introductions_;
  rpc::HealthService health_;
  rpc::Registry client_registry_;
  rpc::Registry peer_registry_;
  std::unique_ptr<rpc::GrpcServer> peer_server_;
  std::unique_ptr<rpc::GrpcServer> client_server_;

  mutable std::mutex mutex_;
  std::condition_variable stop_asked_;
  bool stopping_ = false;
  std::string why_ended_;
  std::thread publisher_;
  std::thread upkeep_thread_;
  std::thread receiving_thread_;
  std::thread sending_thread_;
  std::thread members_thread_;
  std::thread watch_thread_;
  std::thread leases_thread_;
};

}  // namespace server
