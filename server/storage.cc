// SPDX-License-Identifier: Apache-2.0

#include "server/storage.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/rocks_engine.h"
#include "store/rocks_meta.h"

namespace server {
namespace {

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

datum::disk::Identity NewIdentity(const Config& config, const InitialCluster& cluster) {
  datum::disk::Identity identity;
  identity.set_cluster_id(cluster.cluster_id);
  identity.set_member_id(cluster.self);
  identity.set_member_name(config.name);
  identity.set_cluster_token(config.initial_cluster_token);
  base::Random random(base::EntropySeed());
  for (int i = 0; i < 16; ++i) {
    identity.mutable_data_dir_uuid()->push_back(static_cast<char>(random.Below(256)));
  }
  for (const InitialMember& member : cluster.members) {
    datum::disk::InitialMember* known = identity.add_initial_members();
    known->set_member_id(member.id);
    known->set_name(member.name);
    for (const std::string& url : member.peer_urls) known->add_peer_urls(url);
  }
  return identity;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(const Config& config,
                                                       const InitialCluster& cluster) {
  auto storage = std::make_unique<Storage>();
  ASSIGN_OR_RETURN(storage->directory, DataDir::Open(config.data_dir));
  ASSIGN_OR_RETURN(auto meta, store::OpenRocksMeta(storage->directory->meta()));
  ASSIGN_OR_RETURN(storage->promises, store::Promises::Load(std::move(meta)));
  RETURN_IF_ERROR(storage->CheckIdentity(config, cluster));
  RETURN_IF_ERROR(storage->OpenState(config, cluster));
  RETURN_IF_ERROR(storage->OpenLog());
  return storage;
}

absl::Status Storage::CheckIdentity(const Config& config, const InitialCluster& cluster) {
  const std::string& path = directory->path();
  if (!promises->identity().has_value()) {
    if (Exists(directory->log()) || Exists(directory->state(promises->state_number()))) {
      return absl::DataLossError(
          absl::StrCat("data directory ", path,
                       " has a log or a state but does not know whose: meta/ was lost, and with "
                       "it this member's vote; it must not take part as it is"));
    }
    if (config.initial_cluster_state == "existing") {
      return absl::FailedPreconditionError(
          absl::StrCat("--initial-cluster-state: 'existing', but data directory ", path,
                       " is new; joining a cluster that runs is not served yet"));
    }
    promises->SaveIdentity(NewIdentity(config, cluster));
    // meta/ lasts before log/ and state-N/ do: those without it would be taken for a loss.
    return files.SyncDirectory(path);
  }
  const datum::disk::Identity& found = *promises->identity();
  if (found.cluster_id() != cluster.cluster_id || found.member_id() != cluster.self) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data directory ", path, " is that of member ", Hex(found.member_id()), " (",
        found.member_name(), ") of cluster ", Hex(found.cluster_id()), ", but the flags say ",
        Hex(cluster.self), " (", config.name, ") of cluster ", Hex(cluster.cluster_id)));
  }
  return absl::OkStatus();
}

absl::Status Storage::OpenState(const Config& config, const InitialCluster& cluster) {
  store::RocksOptions engine_options;
  engine_options.directory = directory->state(promises->state_number());
  engine_options.block_cache_bytes = config.block_cache_bytes;
  engine_options.write_buffers_bytes = config.write_buffer_bytes;
  ASSIGN_OR_RETURN(auto engine, store::RocksEngine::Open(engine_options));
  store::KvMachineOptions options;
  options.cluster_id = cluster.cluster_id;
  options.member_id = cluster.self;
  ASSIGN_OR_RETURN(machine, store::KvMachine::Open(std::move(engine), options));
  return absl::OkStatus();
}

// The log is synced before anything of it is applied, so it has lost its end since. All that the
// state holds was committed: the log goes on behind it, and the leader sends what else is missing.
void Storage::BeginLogAnew(store::RaftLogContents* contents) {
  const raft::LogPosition applied = machine->applied();
  LOG(WARNING) << directory->log() << " ends at entry " << contents->last_index
               << ", but the state stands at " << applied.index
               << ": the log was cut from outside. It goes on behind the state; the rest comes "
                  "from the leader";
  log->Restart(applied);
  *contents = store::RaftLogContents();
  contents->base = applied;
  contents->last_index = applied.index;
}

absl::Status Storage::OpenLog() {
  const raft::LogPosition applied = machine->applied();
  store::RaftLogOptions options;
  options.directory = directory->log();
  options.keep_after = applied.index;
  options.must_exist = promises->boots() > 0;
  options.random_seed = base::EntropySeed();
  store::RaftLogContents contents;
  ASSIGN_OR_RETURN(log, store::RaftLog::Open(&files, options, &contents));
  if (applied.index < contents.base.index) {
    return absl::DataLossError(absl::StrCat(
        directory->log(), " begins behind entry ", contents.base.index.value(),
        ", but the state stands at ", applied.index.value(), ": what is between them is gone"));
  }
  if (contents.last_index == raft::Index{} && applied.index > raft::Index{}) {
    return absl::DataLossError(absl::StrCat(directory->log(), " is empty, but the state stands at ",
                                            applied.index.value(), ": the log was lost"));
  }
  if (contents.last_index < applied.index) BeginLogAnew(&contents);
  // Before the first promise: the names log/, meta/ and state-N/ themselves must last.
  RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  start.hard_state = promises->hard_state();
  start.boot_count = promises->CountBoot();
  start.applied = applied;
  start.log_base = contents.base;
  start.term_runs = std::move(contents.term_runs);
  start.last_index = contents.last_index;
  start.tail = std::move(contents.tail);
  const auto& vote = start.hard_state.voted_for;
  found = absl::StrCat(
      "term ", start.hard_state.current_term.value(), ", vote ",
      vote.has_value() ? Hex(vote->value()) : "none", ", last index ", start.last_index.value(),
      ", applied index ", applied.index.value(), ", revision ", machine->revision(), ", start ",
      start.boot_count,
      contents.torn_bytes > 0 ? absl::StrCat(", cut ", contents.torn_bytes, " torn bytes") : "");
  return absl::OkStatus();
}

}  // namespace server
