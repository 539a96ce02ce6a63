// SPDX-License-Identifier: Apache-2.0

#include "server/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/status.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "store/bolt_reader.h"
#include "store/promises.h"
#include "store/raft_log.h"
#include "store/rocks_engine.h"
#include "store/rocks_meta.h"

namespace server {
namespace {

// Where every restored state stands: what came before has no entries.
constexpr raft::LogPosition kRestoredPosition{raft::Term(1), raft::Index(1)};
// A database is whole pages of at least so much; what is over is the hash.
constexpr uint64_t kBlockBytes = 512;
constexpr size_t kReadBytes = 1 << 20;

absl::StatusOr<uint64_t> FileBytes(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  }
  if (!S_ISREG(found.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  }
  return static_cast<uint64_t>(found.st_size);
}

// Whether the last bytes are the SHA-256 of those before.
absl::StatusOr<bool> HashIsRight(const std::string& path, uint64_t database_bytes) {
  base::PosixFileSystem files;
  ASSIGN_OR_RETURN(const auto file, files.Open(path, /*create=*/false));
  base::Sha256 hash;
  for (uint64_t at = 0; at < database_bytes;) {
    const uint64_t wanted = std::min<uint64_t>(kReadBytes, database_bytes - at);
    ASSIGN_OR_RETURN(const std::string bytes, file->ReadAt(at, wanted));
    if (bytes.empty()) return absl::DataLossError(absl::StrCat(path, " ends while it is read"));
    hash.Add(bytes);
    at += bytes.size();
  }
  ASSIGN_OR_RETURN(const std::string said, file->ReadAt(database_bytes, base::kSha256Bytes));
  return said == hash.Finish();
}

// The bytes of the database in the file, its hash checked unless that is skipped.
absl::StatusOr<uint64_t> CheckHash(const std::string& path, bool skip, bool* checked) {
  ASSIGN_OR_RETURN(const uint64_t bytes, FileBytes(path));
  const bool has_hash = bytes % kBlockBytes == base::kSha256Bytes;
  *checked = false;
  if (!has_hash) {
    if (skip && bytes % kBlockBytes == 0) return bytes;
    return absl::DataLossError(absl::StrCat(
        path,
        " has no hash behind it: it was cut, or it is no snapshot. A copy of a member's own "
        "database has none; --skip-hash-check takes it as it is"));
  }
  const uint64_t database_bytes = bytes - base::kSha256Bytes;
  if (skip) return database_bytes;
  ASSIGN_OR_RETURN(const bool right, HashIsRight(path, database_bytes));
  if (!right) {
    return absl::DataLossError(
        absl::StrCat(path, " is not what was saved: its SHA-256 is another. It was altered"));
  }
  *checked = true;
  return database_bytes;
}

Config ConfigOf(const RestoreOptions& options) {
  Config config;
  config.name = options.name;
  config.data_dir = options.data_dir.empty() ? options.name + ".datum" : options.data_dir;
  config.initial_cluster = options.initial_cluster;
  config.initial_cluster_token = options.initial_cluster_token;
  config.initial_advertise_peer_urls = options.initial_advertise_peer_urls;
  return config;
}

store::ImportOptions ImportOptionsOf(const RestoreOptions& options, const InitialCluster& cluster) {
  store::ImportOptions import;
  std::vector<raft::NodeId> voters;
  for (const InitialMember& initial : cluster.members) {
    store::Member& member = import.members.emplace_back();
    member.set_id(initial.id);
    member.set_name(initial.name);
    for (const std::string& url : initial.peer_urls) member.add_peer_urls(url);
    voters.push_back(raft::NodeId(initial.id));
  }
  import.configuration = raft::Configuration(std::move(voters), {});
  import.position = kRestoredPosition;
  import.bump_revision = options.bump_revision;
  import.mark_compacted = options.mark_compacted;
  import.accept_auth_off = options.accept_auth_off;
  import.on_progress = options.on_progress;
  return import;
}

absl::Status BeginLog(base::FileSystem* files, const std::string& directory) {
  store::RaftLogOptions options;
  options.directory = directory;
  options.random_seed = base::EntropySeed();
  store::RaftLogContents contents;
  ASSIGN_OR_RETURN(const auto log, store::RaftLog::Open(files, options, &contents));
  log->Restart(kRestoredPosition);
  return absl::OkStatus();
}

absl::Status BeginPromises(const DataDir& directory, const Config& config,
                           const InitialCluster& cluster) {
  ASSIGN_OR_RETURN(auto meta, store::OpenRocksMeta(directory.meta()));
  ASSIGN_OR_RETURN(const auto promises, store::Promises::Load(std::move(meta)));
  raft::HardState hard_state;
  hard_state.current_term = kRestoredPosition.term;
  promises->SaveHardState(hard_state);
  datum::disk::NewestConfiguration configuration;
  configuration.set_index(kRestoredPosition.index.value());
  for (const InitialMember& member : cluster.members) configuration.add_voters(member.id);
  promises->SaveConfiguration(configuration);
  datum::disk::Identity identity;
  identity.set_cluster_id(cluster.cluster_id);
  identity.set_member_id(cluster.self);
  identity.set_member_name(config.name);
  identity.set_cluster_token(config.initial_cluster_token);
  base::Random random(base::EntropySeed());
  for (int i = 0; i < 16; ++i) {
    identity.mutable_data_dir_uuid()->push_back(static_cast<char>(random.Below(256)));
  }
  // Last: without it the directory is nobody's.
  promises->SaveIdentity(identity);
  return absl::OkStatus();
}

absl::StatusOr<store::Imported> Build(const RestoreOptions& options, const Config& config,
                                      const InitialCluster& cluster,
                                      const store::bolt::FileReader& file) {
  ASSIGN_OR_RETURN(const auto directory, DataDir::Open(config.data_dir));
  base::PosixFileSystem files;
  store::Imported imported;
  {
    store::RocksOptions rocks;
    rocks.directory = directory->state(1);
    ASSIGN_OR_RETURN(const auto engine, store::RocksEngine::Open(rocks));
    ASSIGN_OR_RETURN(imported,
                     store::ImportSnapshot(file, ImportOptionsOf(options, cluster), engine.get()));
  }
  RETURN_IF_ERROR(BeginLog(&files, directory->log()));
  RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  RETURN_IF_ERROR(BeginPromises(*directory, config, cluster));
  RETURN_IF_ERROR(files.SyncDirectory(directory->path()));
  return imported;
}

}  // namespace

absl::StatusOr<Restored> RestoreSnapshot(const RestoreOptions& options) {
  if (options.bump_revision < 0) {
    return absl::InvalidArgumentError("--bump-revision: it must not be negative");
  }
  const Config config = ConfigOf(options);
  RETURN_IF_ERROR(config.Validate());
  ASSIGN_OR_RETURN(const InitialCluster cluster, ComputeInitialCluster(config));
  bool checked = false;
  ASSIGN_OR_RETURN(const uint64_t bytes,
                   CheckHash(options.snapshot, options.skip_hash_check, &checked));
  ASSIGN_OR_RETURN(const auto file, store::bolt::FileReader::Open(options.snapshot, bytes));
  std::error_code error;
  const bool existed = std::filesystem::exists(config.data_dir, error);
  if (existed && !std::filesystem::is_empty(config.data_dir, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", config.data_dir, " is not empty; nothing was changed"));
  }
  auto imported = Build(options, config, cluster, *file);
  if (!imported.ok()) {
    DataDir::RemoveAll(config.data_dir);
    return imported.status();
  }
  return Restored{config.data_dir, *imported};
}

absl::StatusOr<SnapshotStatus> ReadSnapshotStatus(const std::string& path) {
  SnapshotStatus status;
  ASSIGN_OR_RETURN(status.bytes, FileBytes(path));
  // A member's own database is shown too.
  const bool skip = status.bytes % kBlockBytes == 0;
  ASSIGN_OR_RETURN(const uint64_t bytes, CheckHash(path, skip, &status.hash_checked));
  ASSIGN_OR_RETURN(const auto file, store::bolt::FileReader::Open(path, bytes));
  ASSIGN_OR_RETURN(status.summary, store::SummarizeSnapshot(*file));
  return status;
}

}  // namespace server
