// SPDX-License-Identifier: Apache-2.0

#include "server/storage.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/rocks_engine.h"
#include "store/rocks_meta.h"

namespace server {
namespace {

constexpr char kNobodyHasACopy[] =
    "This member is the only one that votes, so nobody has a copy. Restore a backup, or, to go on "
    "with what is left and without what is lost, begin a new cluster from a snapshot of it";

// More starts than a founder can have had before the first leader bound it to its directory.
constexpr uint64_t kFirstBootOfAnother = 1 << 10;

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string NewUuid() {
  std::string uuid;
  base::Random random(base::EntropySeed());
  for (int i = 0; i < 16; ++i) uuid.push_back(static_cast<char>(random.Below(256)));
  return uuid;
}

// The term of the entry at `index`; nothing if the log does not hold it.
std::optional<raft::Term> TermAt(const store::RaftLogContents& contents, raft::Index index) {
  if (index == contents.base.index) return contents.base.term;
  if (index < contents.base.index || index > contents.last_index) return std::nullopt;
  std::optional<raft::Term> term;
  for (const raft::LogPosition& run : contents.term_runs) {
    if (run.index <= index) term = run.term;
  }
  return term;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(const Config& config,
                                                       const Introduce& introduce) {
  auto storage = std::make_unique<Storage>();
  storage->config_ = config;
  ASSIGN_OR_RETURN(storage->directory, DataDir::Open(config.data_dir));
  RETURN_IF_ERROR(storage->OpenPromises());
  RETURN_IF_ERROR(storage->CheckIdentity(config, introduce));
  RETURN_IF_ERROR(storage->OpenState());
  RETURN_IF_ERROR(storage->OpenLog());
  return storage;
}

absl::Status Storage::OpenPromises() {
  auto meta = store::OpenRocksMeta(directory->meta());
  auto loaded = meta.ok() ? store::Promises::Load(*std::move(meta)) : meta.status();
  if (!absl::IsDataLoss(loaded.status())) {
    if (loaded.ok()) promises = *std::move(loaded);
    return loaded.status();
  }
  return absl::DataLossError(absl::StrCat(
      "data directory ", directory->path(), ": ", std::string(loaded.status().message()),
      ". meta/ holds this member's vote, so it must not take part as it is. If others hold the "
      "cluster's data: empty the directory, and they take the member in anew. If this is the only "
      "voter: restore a backup"));
}

absl::Status Storage::CheckIdentity(const Config& config, const Introduce& introduce) {
  const std::string& path = directory->path();
  const bool is_known = promises->identity().has_value() && identity().member_id() != 0;
  if (!is_known) {
    if (Exists(directory->log()) || Exists(directory->state(promises->state_number()))) {
      return absl::DataLossError(
          absl::StrCat("data directory ", path,
                       " has a log or a state but does not know whose: meta/ was lost, and with "
                       "it this member's vote; it must not take part as it is. Empty the "
                       "directory: the cluster takes the member in anew"));
    }
    RETURN_IF_ERROR(BecomeKnown(config, introduce));
  }
  const datum::disk::Identity& found = identity();
  if (found.member_name() != config.name || found.cluster_token() != config.initial_cluster_token) {
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", path, " is that of member ", Hex(found.member_id()), " (",
                     found.member_name(), ") of cluster ", Hex(found.cluster_id()),
                     " with the token '", found.cluster_token(), "', but the flags say ",
                     config.name, " and '", config.initial_cluster_token, "'"));
  }
  for (const datum::disk::InitialMember& initial : found.initial_members()) {
    Member& member = founders.emplace_back();
    member.id = initial.member_id();
    member.name = initial.name();
    member.peer_urls = {initial.peer_urls().begin(), initial.peer_urls().end()};
    member.data_dir_uuid = initial.data_dir_uuid();
    known[member.id] = {member.name, member.peer_urls};
  }
  return absl::OkStatus();
}

// The uuid lasts before anybody hears it: a start that is repeated is the same directory's.
absl::Status Storage::BecomeKnown(const Config& config, const Introduce& introduce) {
  datum::disk::Identity becoming;
  if (promises->identity().has_value()) becoming = identity();
  if (becoming.data_dir_uuid().empty()) {
    becoming.set_data_dir_uuid(NewUuid());
    promises->SaveIdentity(becoming);
    // meta/ lasts before log/ and state-N/ do: those without it would be taken for a loss.
    RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  }
  ASSIGN_OR_RETURN(const Introduced introduced, introduce(becoming, [&] {
                     becoming.set_heard_living_cluster(true);
                     promises->SaveIdentity(becoming);
                   }));
  // Before the identity: with it, the member may vote.
  promises->SaveHardState(introduced.hard_state);
  becoming.set_cluster_id(introduced.cluster_id);
  becoming.set_member_id(introduced.member_id);
  becoming.set_member_name(config.name);
  becoming.set_cluster_token(config.initial_cluster_token);
  for (const Member& member : introduced.founders) {
    datum::disk::InitialMember* initial = becoming.add_initial_members();
    initial->set_member_id(member.id);
    initial->set_name(member.name);
    for (const std::string& url : member.peer_urls) initial->add_peer_urls(url);
    initial->set_data_dir_uuid(member.data_dir_uuid);
  }
  promises->SaveIdentity(becoming);
  known = introduced.known;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<store::Engine>> Storage::OpenEngine(const std::string& path) const {
  store::RocksOptions options;
  options.directory = path;
  options.block_cache_bytes = config_.block_cache_bytes;
  options.write_buffers_bytes = config_.write_buffer_bytes;
  return store::RocksEngine::Open(options);
}

absl::Status Storage::OpenState() {
  directory->RemoveOtherStates(promises->state_number());
  machine_options_.cluster_id = identity().cluster_id();
  machine_options_.member_id = identity().member_id();
  const bool must_exist = promises->boots() > 0;
  const std::string path = directory->state(promises->state_number());
  if (must_exist && !Exists(path)) {
    state_damage_ = path + " is gone";
  } else {
    auto engine = OpenEngine(path);
    auto opened = engine.ok() ? store::KvMachine::Open(*std::move(engine), machine_options_)
                              : engine.status();
    if (opened.ok()) {
      machine = *std::move(opened);
      return absl::OkStatus();
    }
    if (!absl::IsDataLoss(opened.status())) return opened.status();
    state_damage_ = absl::StrCat(path, ": ", std::string(opened.status().message()));
  }
  machine = store::KvMachine::OpenLost(machine_options_);
  return absl::OkStatus();
}

raft::Configuration Storage::KnownConfiguration() const {
  if (!machine->lost()) {
    // The state stands at its last flush; the copy in meta/ may be newer.
    const store::Membership membership = machine->membership();
    if (membership.index > raft::Index{} &&
        membership.index.value() >= promises->configuration().index()) {
      return membership.configuration;
    }
  }
  std::vector<raft::NodeId> voters, learners;
  for (uint64_t id : promises->configuration().voters()) voters.push_back(raft::NodeId(id));
  for (uint64_t id : promises->configuration().learners()) learners.push_back(raft::NodeId(id));
  if (voters.empty()) {
    for (const Member& member : founders) voters.push_back(raft::NodeId(member.id));
  }
  return raft::Configuration(std::move(voters), std::move(learners));
}

// Durable before anything is cut: a member that forgot what it had acknowledged must not vote.
absl::Status Storage::OnDamage(const std::string& damage) {
  const raft::Configuration configuration = KnownConfiguration();
  if (configuration.voters().size() == 1 &&
      configuration.IsVoter(raft::NodeId(identity().member_id()))) {
    return absl::DataLossError(absl::StrCat("the log is damaged: ", damage, ". ", kNobodyHasACopy));
  }
  LOG(ERROR) << "the log is damaged: " << damage
             << ". It is cut there, and what was behind is kept aside. This member neither votes "
                "nor leads until it has fetched from the leader what it may have acknowledged";
  raft::HardState hard_state = promises->hard_state();
  hard_state.doubtful = true;
  promises->SaveHardState(hard_state);
  return absl::OkStatus();
}

absl::Status Storage::BeginLogAnew(store::RaftLogContents* contents) {
  const raft::LogPosition applied = machine->applied();
  const std::string what =
      absl::StrCat(directory->log(), " holds entries ", contents->base.index.value() + 1, " to ",
                   contents->last_index.value(), ", but the state stands at ",
                   applied.index.value(), " of term ", applied.term.value());
  if (promises->LogUnsettledAt(applied)) {
    LOG(INFO) << what << ", which was another member's until just before this one ended: the log "
              << "begins anew behind it";
  } else {
    RETURN_IF_ERROR(OnDamage(what + ": the log was lost"));
  }
  log->Restart(applied);
  promises->LogSettled();
  *contents = store::RaftLogContents();
  contents->base = applied;
  contents->last_index = applied.index;
  return absl::OkStatus();
}

absl::Status Storage::LoseState(const std::string& why, const store::RaftLogContents& contents) {
  const uint64_t number = promises->state_number();
  if (contents.base.index == raft::Index{} && contents.damage.empty() &&
      contents.last_index > raft::Index{}) {
    LOG(ERROR) << "the state is lost: " << why
               << ". The log is whole from its first entry on: the state is built anew from it";
    machine = nullptr;
    DataDir::RemoveAll(directory->state(number));
    ASSIGN_OR_RETURN(auto engine, OpenEngine(directory->state(number)));
    ASSIGN_OR_RETURN(machine, store::KvMachine::Open(std::move(engine), machine_options_));
    promises->LogSettled();
    return absl::OkStatus();
  }
  const raft::Configuration configuration = KnownConfiguration();
  if (configuration.voters().size() == 1 &&
      configuration.IsVoter(raft::NodeId(identity().member_id()))) {
    return absl::DataLossError(absl::StrCat("the state is lost: ", why, ", and the log begins at ",
                                            contents.base.index.value() + 1, ". ",
                                            kNobodyHasACopy));
  }
  LOG(ERROR) << "the state is lost: " << why
             << ". This member serves nothing until it has the leader's; it goes on voting and "
                "acknowledging with its log";
  if (!machine->lost()) machine = store::KvMachine::OpenLost(machine_options_);
  start.state_lost = true;
  return absl::OkStatus();
}

absl::Status Storage::CheckLogAgainstState(store::RaftLogContents* contents) {
  if (machine->lost()) return LoseState(state_damage_, *contents);
  const raft::LogPosition applied = machine->applied();
  if (applied.index < contents->base.index) {
    return LoseState(absl::StrCat("it stands at ", applied.index.value(),
                                  ", what is between it and the log is gone"),
                     *contents);
  }
  if (TermAt(*contents, applied.index) != applied.term) return BeginLogAnew(contents);
  promises->LogSettled();
  return absl::OkStatus();
}

std::vector<std::pair<raft::Index, raft::Configuration>> Storage::Configurations(
    const store::RaftLogContents& contents) const {
  std::map<raft::Index, raft::Configuration> found_at;
  if (!machine->lost()) {
    const store::Membership membership = machine->membership();
    if (membership.index > raft::Index{}) found_at[membership.index] = membership.configuration;
  } else if (promises->configuration().index() != 0) {
    found_at[raft::Index(promises->configuration().index())] = KnownConfiguration();
  }
  const raft::Index known_at = found_at.empty() ? raft::Index{} : found_at.rbegin()->first;
  for (const auto& [index, configuration] : contents.configurations) {
    if (index > known_at) found_at[index] = configuration;
  }
  return {found_at.begin(), found_at.end()};
}

absl::Status Storage::OpenLog() {
  store::RaftLogOptions options;
  options.directory = directory->log();
  options.log_reserve_bytes = config_.log_reserve_bytes;
  // A state that is lost is built from the first entry, if that is there.
  options.keep_after = machine->lost() ? raft::Index{} : machine->applied().index;
  options.must_exist = promises->boots() > 0;
  options.random_seed = base::EntropySeed();
  options.on_damage = [this](const std::string& damage) { return OnDamage(damage); };
  store::RaftLogContents contents;
  ASSIGN_OR_RETURN(log, store::RaftLog::Open(&files, options, &contents));
  RETURN_IF_ERROR(CheckLogAgainstState(&contents));
  promises->RaiseTerm(contents.base.term);
  // Before the first promise: the names log/, meta/ and state-N/ themselves must last.
  RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  start.configurations = Configurations(contents);
  // Nothing can be applied until a state has come; what lies behind it is read from the disk then.
  if (machine->lost()) contents.tail.clear();
  start.hard_state = promises->hard_state();
  // One that begins in doubt has lived under its name before: its old self's sessions are over.
  start.boot_count = promises->CountBoot(start.hard_state.doubtful ? kFirstBootOfAnother : 1);
  start.applied = machine->lost() ? raft::LogPosition{} : machine->applied();
  start.log_base = contents.base;
  start.term_runs = std::move(contents.term_runs);
  start.last_index = contents.last_index;
  start.tail = std::move(contents.tail);
  start.digest = machine->digest();
  const auto& vote = start.hard_state.voted_for;
  found = absl::StrCat(
      "term ", start.hard_state.current_term.value(), ", vote ",
      vote.has_value() ? Hex(vote->value()) : "none", ", last index ", start.last_index.value(),
      ", applied index ", start.applied.index.value(), ", revision ", machine->revision(),
      ", start ", start.boot_count,
      contents.torn_bytes > 0 ? absl::StrCat(", cut ", contents.torn_bytes, " torn bytes") : "",
      start.hard_state.doubtful ? ", in doubt" : "", start.state_lost ? ", state lost" : "");
  return absl::OkStatus();
}

absl::StatusOr<raft::LogPosition> Storage::Inspect(const std::string& state_directory) const {
  ASSIGN_OR_RETURN(auto engine, OpenEngine(state_directory));
  ASSIGN_OR_RETURN(const auto found, store::KvMachine::Open(std::move(engine), machine_options_));
  return found->applied();
}

absl::StatusOr<std::unique_ptr<store::Engine>> Storage::TakeStaged(const std::string& staged) {
  const uint64_t number = promises->state_number() + 1;
  const std::string path = directory->state(number);
  DataDir::RemoveAll(path);
  if (rename(staged.c_str(), path.c_str()) != 0) {
    return absl::InternalError(absl::StrCat(staged, " cannot be renamed to ", path));
  }
  RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  auto engine = OpenEngine(path);
  if (!engine.ok()) DataDir::RemoveAll(path);
  return engine;
}

void Storage::KeepTaken(raft::LogPosition position) {
  // The one atomic step: from here on a start finds the new state.
  promises->SaveTakenState(promises->state_number() + 1, position);
}

}  // namespace server
