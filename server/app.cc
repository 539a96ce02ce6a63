// SPDX-License-Identifier: Apache-2.0

#include "server/app.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"
#include "base/status.h"
#include "glog/logging.h"
#include "rpc/reflection.h"
#include "server/flags.h"

namespace server {
namespace {

// What gRPC adds to a request, and some air, as etcd has it.
constexpr size_t kRequestOverheadBytes = 512 << 10;
// An AppendEntries message may hold several of the largest requests.
constexpr size_t kPeerMessageBytesMax = size_t{1} << 30;
// How long calls that are under way may go on at the end.
constexpr base::Duration kStopGrace = std::chrono::seconds(1);
// Changes that one step of the background compaction looks at.
constexpr size_t kCompactStepRecords = 2000;
constexpr base::Duration kUpkeepPause = std::chrono::milliseconds(100);
constexpr base::Duration kPublishPause = std::chrono::milliseconds(200);

raft::NodeOptions NodeOptionsOf(const Config& config, const InitialCluster& cluster) {
  raft::NodeOptions options;
  options.self = raft::NodeId(cluster.self);
  for (const InitialMember& member : cluster.members) {
    options.voters.push_back(raft::NodeId(member.id));
  }
  options.heartbeat_interval = config.heartbeat_interval;
  options.election_timeout = config.election_timeout;
  options.random_seed = base::EntropySeed();
  return options;
}

GateOptions GateOptionsOf(const Config& config, const InitialCluster& cluster) {
  return {.cluster_id = cluster.cluster_id,
          .member_id = cluster.self,
          .max_request_bytes = config.max_request_bytes,
          .request_timeout = config.RequestTimeout(),
          .election_timeout = config.election_timeout};
}

std::vector<std::string> Addresses(const std::vector<std::string>& urls) {
  std::vector<std::string> addresses;
  for (const std::string& url : urls) {
    const auto parsed = ParseUrl(url);
    CHECK(parsed.ok()) << parsed.status();
    addresses.push_back(parsed->Address());
  }
  return addresses;
}

// Known methods say that they are not there yet, rather than that nobody knows them.
void RegisterWhatIsToCome(rpc::Registry* registry) {
  RegisterUnimplemented(registry, "etcdserverpb.KV", {"RangeStream"});
  RegisterUnimplemented(registry, "etcdserverpb.Watch", {"Watch"});
  RegisterUnimplemented(
      registry, "etcdserverpb.Lease",
      {"LeaseGrant", "LeaseRevoke", "LeaseKeepAlive", "LeaseTimeToLive", "LeaseLeases"});
  RegisterUnimplemented(
      registry, "etcdserverpb.Auth",
      {"AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList",
       "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet",
       "RoleList", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"});
  RegisterUnimplemented(registry, "v3lockpb.Lock", {"Lock", "Unlock"});
  RegisterUnimplemented(registry, "v3electionpb.Election",
                        {"Campaign", "Proclaim", "Leader", "Observe", "Resign"});
}

// Each change of role, term or leader is one line that says who, when and what.
void LogStatus(const std::string& name, const raft::NodeStatus& status) {
  LOG(INFO) << name << " t" << status.term << " " << raft::RoleName(status.role) << ", leader "
            << (status.leader == raft::kNobody ? std::string("none")
                                               : absl::StrCat(absl::Hex(status.leader.value())));
}

}  // namespace

App::App(const Config& config, const InitialCluster& cluster, std::unique_ptr<Storage> storage)
    : config_(config),
      cluster_(cluster),
      storage_(std::move(storage)),
      peers_(cluster),
      node_(NodeOptionsOf(config, cluster), std::move(storage_->start),
            {&clock_, storage_->log.get(), storage_->promises.get(), storage_->machine.get(),
             &peers_, nullptr},
            [name = config.name](const raft::NodeStatus& status) { LogStatus(name, status); }),
      replica_(&node_),
      state_(storage_->machine.get()),
      gate_(GateOptionsOf(config, cluster), &replica_, &clock_),
      kv_(&gate_, &state_, static_cast<int>(config.max_txn_ops)),
      maintenance_(&gate_, &state_, config.quota_backend_bytes),
      members_(&gate_, &state_, cluster.members) {
  kv_.Register(&client_registry_);
  maintenance_.Register(&client_registry_);
  members_.Register(&client_registry_);
  RegisterWhatIsToCome(&client_registry_);
  health_.Register(&client_registry_);
  rpc::RegisterReflection(&client_registry_);
  peers_.Register(&peer_registry_, [this](std::string bytes) { node_.Receive(std::move(bytes)); });
}

absl::StatusOr<std::unique_ptr<App>> App::Start(const Config& config) {
  const base::SystemClock clock;
  const base::TimePoint began = clock.Now();
  ASSIGN_OR_RETURN(const InitialCluster cluster, ComputeInitialCluster(config));
  ASSIGN_OR_RETURN(auto storage, Storage::Open(config, cluster));
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.Now() - began).count();
  LOG(INFO) << config.name << " is member " << absl::StrCat(absl::Hex(cluster.self))
            << " of cluster " << absl::StrCat(absl::Hex(cluster.cluster_id)) << "; loaded from "
            << config.data_dir << " in " << took << " ms: " << storage->found;
  std::unique_ptr<App> app(new App(config, cluster, std::move(storage)));
  RETURN_IF_ERROR(app->Listen());
  app->publisher_ = std::thread([raw = app.get()] { raw->PublishAttributes(); });
  app->upkeep_ = std::thread([raw = app.get()] { raw->Upkeep(); });
  return app;
}

absl::Status App::Listen() {
  rpc::GrpcServerOptions options;
  options.addresses = Addresses(config_.listen_peer_urls);
  options.receive_bytes_max = kPeerMessageBytesMax;
  options.memory_bytes_max = config_.rpc_memory_bytes;
  // Members ping each other while nothing else is said: that is how a cut is noticed.
  options.ping_interval_min = std::chrono::milliseconds(100);
  options.pings_without_calls = true;
  options.keepalive_time = std::chrono::seconds(2);
  options.keepalive_timeout = std::chrono::seconds(3);
  ASSIGN_OR_RETURN(peer_server_, rpc::GrpcServer::Start(options, &peer_registry_, &clock_));

  options = rpc::GrpcServerOptions();
  options.addresses = Addresses(config_.listen_client_urls);
  options.receive_bytes_max = config_.max_request_bytes + kRequestOverheadBytes;
  options.concurrent_streams_max =
      static_cast<uint32_t>(std::min<uint64_t>(config_.max_concurrent_streams, UINT32_MAX));
  options.ping_interval_min = config_.grpc_keepalive_min_time;
  options.keepalive_time = config_.grpc_keepalive_interval;
  options.keepalive_timeout = config_.grpc_keepalive_timeout;
  options.memory_bytes_max = config_.rpc_memory_bytes;
  ASSIGN_OR_RETURN(client_server_, rpc::GrpcServer::Start(options, &client_registry_, &clock_));
  // Only now does it take part: one that cannot be reached must not raise terms.
  peers_.Connect();
  node_.Start();
  LOG(INFO) << config_.name << " listens for clients on "
            << absl::StrJoin(config_.listen_client_urls, ", ") << ", for members on "
            << absl::StrJoin(config_.listen_peer_urls, ", ");
  return absl::OkStatus();
}

void App::PublishAttributes() {
  etcdserverpb::InternalRaftRequest request;
  auto* attributes = request.mutable_cluster_member_attr_set();
  attributes->set_member_id(cluster_.self);
  attributes->mutable_member_attributes()->set_name(config_.name);
  for (const std::string& url : config_.advertise_client_urls) {
    attributes->mutable_member_attributes()->add_client_urls(url);
  }
  const std::string command = request.SerializeAsString();
  // Saying it twice says the same, so it is tried until it is known to be in the log.
  do {
    std::promise<raft::PublishOutcome> promise;
    node_.Publish(command, clock_.Now() + config_.RequestTimeout(),
                  [&](raft::PublishOutcome outcome) { promise.set_value(std::move(outcome)); });
    const raft::PublishOutcome outcome = promise.get_future().get();
    if (outcome.kind == raft::PublishOutcome::Kind::kApplied) {
      LOG_IF(ERROR, !outcome.result.status.ok()) << outcome.result.status;
      health_.SetServing("", true);
      LOG(INFO) << config_.name << ": ready to serve client requests";
      return;
    }
  } while (!StopsWithin(kPublishPause));
}

void App::Upkeep() {
  base::Duration pause;
  do {
    const absl::Status spare = storage_->log->PrepareSegment();
    LOG_IF(WARNING, !spare.ok()) << "no log segment could be made ahead: " << spare;
    const auto more = storage_->machine->CompactStep(kCompactStepRecords);
    LOG_IF(ERROR, !more.ok()) << "compaction in the background: " << more.status();
    storage_->machine->FlushIfDue(clock_.Now());
    pause = more.ok() && *more ? base::Duration::zero() : kUpkeepPause;
  } while (!StopsWithin(pause));
}

bool App::StopsWithin(base::Duration pause) {
  std::unique_lock lock(mutex_);
  return stop_asked_.wait_for(lock, pause, [this] { return stopping_; });
}

void App::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  stop_asked_.notify_all();
  health_.SetServing("", false);
  health_.Stop();
  gate_.BeginStop();
  // The transport waits for every call, and a call may wait for a quorum that is not there: after
  // the grace the node ends them all.
  auto drained = std::async(std::launch::async, [this] {
    if (client_server_ != nullptr) client_server_->Stop(kStopGrace);
  });
  drained.wait_for(kStopGrace);
  if (peer_server_ != nullptr) peer_server_->Stop(base::Duration::zero());
  node_.Stop();
  drained.wait();
  peers_.Disconnect();
  if (publisher_.joinable()) publisher_.join();
  if (upkeep_.joinable()) upkeep_.join();
  // So that the next start has nothing to apply again.
  storage_->machine->Flush();
  LOG(INFO) << config_.name << " has ended at applied index " << storage_->machine->applied().index
            << ", revision " << storage_->machine->revision();
}

App::~App() { Stop(); }

}  // namespace server
