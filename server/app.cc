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
#include "server/errors.h"
#include "server/flags.h"

namespace server {
namespace {

// What gRPC adds to a request, and some air, as etcd has it.
constexpr size_t kRequestOverheadBytes = 512 << 10;
// A message between members holds frames of a MiB together, or one that is larger: an entry, or
// what was forwarded at once, which NodeOptions::inbox_bytes_max bounds.
constexpr size_t kPeerMessageBytesMax = size_t{72} << 20;
// Calls of one connection: more of what is asked of a leader waits at who asks.
constexpr uint32_t kPeerStreamsMax = 256;
// How long calls that are under way may go on at the end.
constexpr base::Duration kStopGrace = std::chrono::seconds(1);
// Hashes of the whole store at a time, and how many of them may wait; snapshots, likewise.
constexpr size_t kBackgroundThreads = 2;
constexpr size_t kBackgroundJobsMax = 64;
constexpr size_t kBackupsMax = 2;
// Large answers that wait for memory.
constexpr size_t kAnswersWaitingMax = 10'000;
constexpr char kOlderCopy[] =
    "its data directory is an older copy of itself: the leader has heard more from it than stands "
    "there. What it acknowledged since is gone, so it is in doubt; start it again, and it catches "
    "up before it votes";
constexpr base::Duration kPublishPause = std::chrono::milliseconds(200);
constexpr base::Duration kMembersPause = std::chrono::milliseconds(20);
// So long must a member have been connected for a strict change of the members, as in etcd.
constexpr base::Duration kSteadyAfter = std::chrono::seconds(5);

raft::NodeOptions NodeOptionsOf(const Config& config, const Storage& storage) {
  raft::NodeOptions options;
  options.self = raft::NodeId(storage.identity().member_id());
  for (const Member& member : storage.founders) options.voters.push_back(raft::NodeId(member.id));
  if (!storage.founders.empty()) options.bootstrap_command = BootstrapCommand(storage.founders);
  options.heartbeat_interval = config.heartbeat_interval;
  options.election_timeout = config.election_timeout;
  options.random_seed = base::EntropySeed();
  return options;
}

GateOptions GateOptionsOf(const Config& config, const Storage& storage) {
  return {.cluster_id = storage.identity().cluster_id(),
          .member_id = storage.identity().member_id(),
          .max_request_bytes = config.max_request_bytes,
          .request_timeout = config.RequestTimeout(),
          .election_timeout = config.election_timeout};
}

store::WatchHubOptions WatchHubOptionsOf(const Config& config, const Storage& storage) {
  store::WatchHubOptions options;
  options.cluster_id = storage.identity().cluster_id();
  options.member_id = storage.identity().member_id();
  options.watchers_max = config.max_watchers;
  options.stream_bytes_max = config.watch_stream_bytes;
  options.sent_bytes_max = config.watch_memory_bytes;
  options.response_bytes = config.max_request_bytes + kRequestOverheadBytes;
  options.progress_interval = config.watch_progress_notify_interval;
  options.random_seed = base::EntropySeed();
  return options;
}

SpaceWatch WatchedSpace(const Config& config, const Storage& storage) {
  const std::string& path = storage.directory->path();
  return SpaceWatch({.directory = path, .min_free_bytes = config.min_free_bytes},
                    [path] { return ReadDiskSpace(path); });
}

PeerIdentity IdentityOf(const Config& config, const Storage& storage) {
  return {storage.identity().cluster_id(), storage.identity().member_id(),
          storage.identity().data_dir_uuid(), config.initial_advertise_peer_urls};
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
  RegisterUnimplemented(
      registry, "etcdserverpb.Auth",
      {"AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList",
       "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet",
       "RoleList", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"});
}

// Each change of role, term or leader is one line that says who, when and what.
void LogStatus(const std::string& name, const raft::NodeStatus& status) {
  LOG(INFO) << name << " t" << status.term << " " << raft::RoleName(status.role) << ", leader "
            << (status.leader == raft::kNobody ? std::string("none")
                                               : absl::StrCat(absl::Hex(status.leader.value())));
}

}  // namespace

App::App(const Config& config, std::unique_ptr<Storage> storage, Signals signals)
    : config_(config),
      signals_(std::move(signals)),
      storage_(std::move(storage)),
      state_(storage_->machine.get()),
      book_(storage_->identity().member_id(), storage_->known),
      log_(storage_->log.get(), &book_, [this] { keeper_.OnNews(); }),
      peers_(IdentityOf(config, *storage_), &clock_, TransportHooks()),
      snapshots_in_(
          storage_->directory->path() + "/incoming", &clock_,
          [this](const rpc::Call& call) { return peers_.CheckSender(call); },
          [this](const std::string& directory) { return storage_->Inspect(directory); },
          [this](raft::SnapshotArrived arrived) { node_.Report(arrived); }),
      snapshots_out_(
          {storage_->directory->path(), config.snapshot_rate_bytes},
          [this](const std::string& directory) { return storage_->machine->Checkpoint(directory); },
          [this](raft::NodeId peer) { return FindPeer(peer); },
          [this](uint64_t staged) { snapshots_in_.Discard(staged); }),
      watch_hub_(WatchHubOptionsOf(config, *storage_), storage_->machine.get(),
                 [this] { return node_.status().term.value(); }),
      leases_({&replica_, &state_, &peers_, &clock_, config.election_timeout}),
      node_(NodeOptionsOf(config, *storage_), storage_->start,
            {&clock_, &log_, storage_->promises.get(), storage_->machine.get(), &peers_,
             &snapshots_out_},
            [this](const raft::NodeStatus& status) {
              LogStatus(config_.name, status);
              if (status.outlived) EndBecause(kOlderCopy);
              transfers_.Look(status, clock_.Now());
              leases_.Wake();
            }),
      replica_(&node_),
      changer_(&replica_, &state_, &clock_),
      keeper_(config.name, KeeperParts()),
      quota_(&state_, config.quota_backend_bytes),
      alarm_({storage_->identity().member_id(), config.RequestTimeout()},
             WatchedSpace(config, *storage_), &replica_, &state_, &quota_),
      upkeep_(config, storage_.get(), &node_, &alarm_, &compactions_),
      gate_(GateOptionsOf(config, *storage_), &replica_, &clock_),
      space_gate_(&gate_, &state_, &quota_),
      answer_memory_(config.answer_memory_bytes, kAnswersWaitingMax),
      background_(kBackgroundThreads, kBackgroundJobsMax),
      backup_threads_(kBackupsMax, kBackupsMax),
      kv_(&gate_, &space_gate_, &state_, &answer_memory_, &compactions_,
          static_cast<int>(config.max_txn_ops)),
      range_streams_(&gate_, &state_, &answer_memory_, config.max_request_bytes),
      watches_(&gate_, &watch_hub_),
      maintenance_(
          &gate_, &state_, &transfers_,
          [this](std::function<void()> job) { return background_.Post(std::move(job)); },
          config.quota_backend_bytes),
      backups_(
          &gate_, &state_,
          [this](std::function<void()> job) { return backup_threads_.Post(std::move(job)); },
          storage_->directory->path()),
      lease_service_(&gate_, &space_gate_, &state_, &answer_memory_, &leases_, base::EntropySeed),
      turns_(&gate_, &space_gate_, &state_, &lease_service_, &waiters_,
             static_cast<int>(config.max_txn_ops)),
      locks_(&turns_),
      elections_(&turns_, &answer_memory_),
      members_(&gate_, &state_, &changer_, ClusterOptions()),
      introductions_(
          &replica_, &state_, &changer_, &peers_, &clock_,
          {config.initial_cluster_token, config.replace_wiped_members, storage_->founders}) {
  book_.Append(storage_->start.tail);
  storage_->start = {};
  storage_->machine->set_on_damage([this](const absl::Status& damage) {
    LOG(ERROR) << config_.name << ": the state is damaged: " << damage.message();
    node_.Report(raft::StateLost{});
    watch_hub_.EndAll(ErrorStatus(WireError::kStateLost));
  });
  storage_->machine->set_observer(&watch_hub_);
  storage_->machine->set_take_staged(
      [this](uint64_t staged) -> absl::StatusOr<std::unique_ptr<store::Engine>> {
        ASSIGN_OR_RETURN(const std::string directory, snapshots_in_.Take(staged));
        return storage_->TakeStaged(directory);
      });
  storage_->machine->set_keep_staged(
      [this](raft::LogPosition position) { storage_->KeepTaken(position); });
  FollowState();
  range_streams_.Register(&client_registry_);
  watches_.Register(&client_registry_);
  kv_.Register(&client_registry_);
  lease_service_.Register(&client_registry_);
  locks_.Register(&client_registry_);
  elections_.Register(&client_registry_);
  maintenance_.Register(&client_registry_);
  backups_.Register(&client_registry_);
  members_.Register(&client_registry_);
  RegisterWhatIsToCome(&client_registry_);
  health_.Register(&client_registry_);
  rpc::RegisterReflection(&client_registry_);
  peers_.Register(&peer_registry_, [this](std::string bytes) { node_.Receive(std::move(bytes)); });
  introductions_.Register(&peer_registry_);
  leases_.Register(&peer_registry_);
  snapshots_in_.Register(&peer_registry_);
}

void App::FollowState() {
  const auto load = [this] {
    const absl::StatusOr<store::LeaseTtls> ttls = storage_->machine->Leases();
    // A state that is lost has none; the one that takes its place is loaded as it comes.
    leases_.Load(ttls.ok() ? *ttls : store::LeaseTtls());
  };
  storage_->machine->set_on_commit(
      [this](std::span<const store::WriteOperation> batch, const store::AppliedRecord& numbers) {
        leases_.OnCommit(batch, numbers);
        waiters_.OnCommit(batch);
      });
  storage_->machine->set_on_installed([this, load] {
    storage_->RemoveOtherStates();
    load();
    waiters_.WakeAll();
  });
  load();
}

absl::StatusOr<PeerAddress> App::FindPeer(raft::NodeId peer) const {
  const std::string address = peers_.AddressOf(peer.value());
  if (address.empty()) return absl::NotFoundError("that member's address is not known");
  return PeerAddress{address, peers_.MetadataFor(peer.value())};
}

PeerTransport::Hooks App::TransportHooks() {
  return {.check =
              [this](uint64_t from, const std::string& uuid) {
                return CheckPeer(state_.membership(), from, uuid);
              },
          .uuid_of =
              [this](uint64_t peer) {
                const Membership membership = state_.membership();
                const Member* member = membership.Find(peer);
                return member == nullptr ? std::string() : member->data_dir_uuid;
              },
          .learn =
              [this](uint64_t from, const PeerPlace& place) {
                if (book_.Learn(from, place)) keeper_.OnNews();
              },
          .lost = [this](uint64_t peer) { node_.Report(raft::PeerLost{raft::NodeId(peer)}); },
          .refused = [this](uint64_t, const std::string& why) { keeper_.OnRefused(why); }};
}

MemberKeeper::Parts App::KeeperParts() {
  return {.replica = &replica_,
          .state = &state_,
          .changer = &changer_,
          .book = &book_,
          .transfers = &transfers_,
          .clock = &clock_,
          .identity = peers_.identity(),
          .set_peers = [this](const auto& peers) { peers_.SetPeers(peers); },
          .connected = [this](uint64_t id) { return peers_.ConnectedSince(id).has_value(); },
          .speaks_from = [this](uint64_t id) { return peers_.IncomingUuid(id); },
          .on_configuration = [this](const Membership& now) { SaveConfiguration(now); },
          .on_removed = [this](const std::string& why) { EndBecause(why); }};
}

ClusterServiceOptions App::ClusterOptions() const {
  const uint64_t self = storage_->identity().member_id();
  ClusterServiceOptions options;
  options.strict_reconfig_check = config_.strict_reconfig_check;
  options.connections.self = self;
  options.connections.steady = [this, self](uint64_t id) {
    const auto since = peers_.ConnectedSince(id);
    return id == self || (since && *since + kSteadyAfter <= clock_.Now());
  };
  options.connections.connected = [this, self](uint64_t id) {
    return id == self || peers_.ConnectedSince(id).has_value();
  };
  options.salt = base::EntropySeed;
  return options;
}

absl::StatusOr<std::unique_ptr<App>> App::Start(const Config& config, Signals signals) {
  const base::SystemClock clock;
  const base::TimePoint began = clock.Now();
  const Introduce introduce =
      [&](const datum::disk::Identity& directory,
          const std::function<void()>& heard_living) -> absl::StatusOr<Introduced> {
    ASSIGN_OR_RETURN(const InitialCluster initial, ComputeInitialCluster(config));
    Introducer introducer(config, initial, directory.data_dir_uuid(), &clock);
    const bool may_found =
        config.initial_cluster_state == "new" && !directory.heard_living_cluster();
    return introducer.Run(may_found, heard_living, signals.stop_asked);
  };
  ASSIGN_OR_RETURN(auto storage, Storage::Open(config, introduce));
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.Now() - began).count();
  LOG(INFO) << config.name << " is member "
            << absl::StrCat(absl::Hex(storage->identity().member_id())) << " of cluster "
            << absl::StrCat(absl::Hex(storage->identity().cluster_id())) << "; loaded from "
            << config.data_dir << " in " << took << " ms: " << storage->found;
  std::unique_ptr<App> app(new App(config, std::move(storage), std::move(signals)));
  RETURN_IF_ERROR(app->Listen());
  app->publisher_ = std::thread([raw = app.get()] { raw->PublishAttributes(); });
  app->upkeep_thread_ = std::thread([raw = app.get()] { raw->KeepUp(); });
  app->receiving_thread_ = std::thread([raw = app.get()] { raw->snapshots_in_.Run(); });
  app->sending_thread_ = std::thread([raw = app.get()] { raw->snapshots_out_.Run(); });
  app->leases_thread_ = std::thread([raw = app.get()] { raw->leases_.Run(); });
  app->members_thread_ = std::thread([raw = app.get()] { raw->KeepMembers(); });
  app->watch_thread_ = std::thread([raw = app.get()] { raw->KeepWatchersTold(); });
  return app;
}

absl::Status App::Listen() {
  rpc::GrpcServerOptions options;
  options.addresses = Addresses(config_.listen_peer_urls);
  options.receive_bytes_max = kPeerMessageBytesMax;
  options.concurrent_streams_max = kPeerStreamsMax;
  options.memory_bytes_max = config_.rpc_memory_bytes;
  // Members ping each other while nothing else is said: that is how a cut is noticed.
  options.ping_interval_min = std::chrono::milliseconds(100);
  options.pings_without_calls = true;
  // Clients, however many, do not keep members out.
  options.descriptors_percent = 75;
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
  options.unread_max = config_.unread_timeout;
  ASSIGN_OR_RETURN(client_server_, rpc::GrpcServer::Start(options, &client_registry_, &clock_));
  // Only now does it take part: one that cannot be reached must not raise terms.
  peers_.SetPeers(book_.Peers());
  node_.Start();
  LOG(INFO) << config_.name << " listens for clients on "
            << absl::StrJoin(config_.listen_client_urls, ", ") << ", for members on "
            << absl::StrJoin(config_.listen_peer_urls, ", ");
  return absl::OkStatus();
}

void App::PublishAttributes() {
  etcdserverpb::InternalRaftRequest request;
  auto* attributes = request.mutable_cluster_member_attr_set();
  attributes->set_member_id(storage_->identity().member_id());
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
    // Before the cluster has its first members, or this one is among them, there is nobody to name.
    if (outcome.kind == raft::PublishOutcome::Kind::kApplied && outcome.result.status.ok()) {
      health_.SetServing("", true);
      upkeep_.StateIsCurrent();
      LOG(INFO) << config_.name << ": ready to serve client requests";
      return;
    }
  } while (!StopsWithin(kPublishPause));
}

void App::KeepUp() {
  base::Duration pause;
  do {
    pause = upkeep_.Once(clock_.Now());
  } while (!StopsWithin(pause));
}

void App::KeepWatchersTold() {
  const base::Duration look_interval = config_.election_timeout / 4;
  base::TimePoint look_due = clock_.Now() + look_interval;
  while (!watch_hub_.stopped()) {
    const bool more = watch_hub_.Turn(clock_.Now());
    if (!more) watch_hub_.Wait(look_due);
    const base::TimePoint now = clock_.Now();
    if (now < look_due) continue;
    look_due = now + look_interval;
    watches_.Look(now);
    answer_memory_.Look(now);
    client_server_->EndUnread();
  }
}

void App::KeepMembers() {
  do {
    keeper_.Look(clock_.Now());
  } while (!StopsWithin(kMembersPause));
}

// A copy beside the state: a member whose state is lost still knows who votes.
void App::SaveConfiguration(const Membership& membership) {
  datum::disk::NewestConfiguration record;
  record.set_index(membership.index.value());
  const raft::Configuration configuration = membership.configuration();
  for (raft::NodeId id : configuration.voters()) record.add_voters(id.value());
  for (raft::NodeId id : configuration.learners()) record.add_learners(id.value());
  if (record.index() <= storage_->promises->configuration().index()) return;
  storage_->promises->SaveConfiguration(record);
}

void App::EndBecause(const std::string& why) {
  LOG(ERROR) << config_.name << " ends: " << why;
  {
    std::lock_guard lock(mutex_);
    why_ended_ = why;
  }
  if (signals_.end) signals_.end();
}

std::string App::why_ended() const {
  std::lock_guard lock(mutex_);
  return why_ended_;
}

// Who is left has a leader before this one is gone, and not an election timeout later.
void App::HandOver() {
  const raft::NodeStatus status = node_.status();
  if (status.leader != status.self || state_.membership().configuration().voters().size() < 2) {
    return;
  }
  auto handed_over = std::make_shared<std::promise<void>>();
  auto done = handed_over->get_future();
  const base::TimePoint deadline = clock_.Now() + config_.election_timeout;
  transfers_.Add(raft::kNobody, status, deadline,
                 [handed_over](const absl::Status&) { handed_over->set_value(); });
  node_.TransferLeadership(raft::kNobody);
  done.wait_for(config_.election_timeout);
}

bool App::StopsWithin(base::Duration pause) {
  std::unique_lock lock(mutex_);
  return stop_asked_.wait_for(lock, pause, [this] { return stopping_; });
}

void App::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  HandOver();
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  stop_asked_.notify_all();
  health_.SetServing("", false);
  health_.Stop();
  gate_.BeginStop();
  watch_hub_.EndAll(ErrorStatus(WireError::kStopped));
  compactions_.Stop();
  leases_.Stop();
  // The transport waits for every call, and a call may wait for a quorum that is not there: after
  // the grace the node ends them all.
  auto drained = std::async(std::launch::async, [this] {
    if (client_server_ != nullptr) client_server_->Stop(kStopGrace);
  });
  drained.wait_for(kStopGrace);
  // What it has begun to take is answered before the peers' calls are waited for.
  snapshots_in_.Stop();
  snapshots_out_.Stop();
  if (receiving_thread_.joinable()) receiving_thread_.join();
  if (peer_server_ != nullptr) peer_server_->Stop(base::Duration::zero());
  if (sending_thread_.joinable()) sending_thread_.join();
  node_.Stop();
  drained.wait();
  watch_hub_.Stop();
  if (watch_thread_.joinable()) watch_thread_.join();
  background_.Stop();
  backup_threads_.Stop();
  if (publisher_.joinable()) publisher_.join();
  if (upkeep_thread_.joinable()) upkeep_thread_.join();
  if (members_thread_.joinable()) members_thread_.join();
  if (leases_thread_.joinable()) leases_thread_.join();
  peers_.Disconnect();
  // So that the next start has nothing to apply again.
  storage_->machine->Flush();
  LOG(INFO) << config_.name << " has ended at applied index " << storage_->machine->applied().index
            << ", revision " << storage_->machine->revision();
}

App::~App() { Stop(); }

}  // namespace server
