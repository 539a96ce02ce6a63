// SPDX-License-Identifier: Apache-2.0

#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status.h"
#include "client/datumctl_command.h"
#include "client/datumctl_progress.h"
#include "client/datumctl_text.h"
#include "server/restore.h"

namespace client {
namespace {

// A snapshot on its way into a file. The last bytes of the stream are the hash of those before.
class SnapshotFile {
 public:
  explicit SnapshotFile(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}

  // A file that is not complete does not stay.
  ~SnapshotFile() {
    if (file_ != nullptr) (void)files_.Remove(part_);
  }

  absl::Status Open() {
    // What an earlier attempt left is longer than what we may write.
    std::error_code ignored;
    std::filesystem::remove(part_, ignored);
    ASSIGN_OR_RETURN(file_, files_.Open(part_, /*create=*/true));
    return absl::OkStatus();
  }

  absl::Status Add(const std::string& bytes) {
    RETURN_IF_ERROR(file_->WriteAt(size_, bytes));
    size_ += bytes.size();
    // All but the last 32 bytes so far is certainly no hash.
    tail_ += bytes;
    if (tail_.size() > base::kSha256Bytes) {
      const size_t settled = tail_.size() - base::kSha256Bytes;
      hash_.Add(std::string_view(tail_).substr(0, settled));
      tail_.erase(0, settled);
    }
    return absl::OkStatus();
  }

  // Checks the hash; the file then has its name, durably.
  absl::Status Complete() {
    if (tail_.size() < base::kSha256Bytes || hash_.Finish() != tail_) {
      return absl::DataLossError(
          absl::StrCat("what came is not what the server sent: its SHA-256 does not match (",
                       HumanBytes(size_), " received)"));
    }
    RETURN_IF_ERROR(file_->Sync());
    RETURN_IF_ERROR(files_.Rename(part_, path_));
    file_.reset();
    const std::string directory = std::filesystem::path(path_).parent_path().string();
    return files_.SyncDirectory(directory.empty() ? "." : directory);
  }

  uint64_t size() const { return size_; }

 private:
  const std::string path_;
  const std::string part_;
  base::PosixFileSystem files_;
  std::unique_ptr<base::File> file_;
  base::Sha256 hash_;
  std::string tail_;
  uint64_t size_ = 0;
};

bool OnTerminal() { return isatty(STDERR_FILENO) == 1; }

int Save(Command* command) {
  const std::string& path = command->arguments.snapshot.file;
  if (command->client->endpoints().size() != 1) {
    return Fail(
        absl::InvalidArgumentError("snapshot must be requested to one selected node, not multiple"),
        kBadUsage);
  }
  SnapshotFile file(path);
  const absl::Status opened = file.Open();
  if (!opened.ok()) return Fail(opened, kFailed);
  std::unique_ptr<ProgressBar> bar;
  std::string version;
  // However large it is: without --command-timeout there is no limit.
  const absl::Duration timeout = command->arguments.has_call_timeout
                                     ? command->arguments.options.call_timeout
                                     : absl::InfiniteDuration();
  absl::Status status = command->client->Snapshot(
      command->client->endpoints().front(), timeout,
      [&](const etcdserverpb::SnapshotResponse& piece) -> absl::Status {
        if (bar == nullptr) {
          version = piece.version();
          bar = std::make_unique<ProgressBar>("snapshot save",
                                              piece.remaining_bytes() + piece.blob().size(),
                                              OnTerminal(), &std::cerr, HumanBytes);
        }
        RETURN_IF_ERROR(file.Add(piece.blob()));
        bar->Update(file.size());
        return absl::OkStatus();
      });
  if (bar != nullptr) bar->Finish();
  if (status.ok()) status = file.Complete();
  if (!status.ok()) return Fail(status, kFailed);
  std::cout << "Snapshot saved at " << path << "\n";
  if (!version.empty()) std::cout << "Server version " << version << "\n";
  return kDone;
}

int ShowStatus(Command* command) {
  const auto status = server::ReadSnapshotStatus(command->arguments.snapshot.file);
  if (!status.ok()) return Fail(status.status(), kFailed);
  command->printer->Snapshot(
      {.hash = status->summary.hash,
       .revision = status->summary.revision,
       .total_keys = status->summary.total_keys,
       // Of the database, without the hash behind it.
       .bytes = status->bytes - (status->hash_checked ? base::kSha256Bytes : 0),
       .version = status->summary.version});
  return kDone;
}

int Restore(Command* command) {
  const SnapshotArguments& wanted = command->arguments.snapshot;
  if ((wanted.bump_revision > 0) != wanted.mark_compacted) {
    return Fail(absl::InvalidArgumentError("--mark-compacted required if --bump-revision > 0"),
                kBadUsage);
  }
  server::RestoreOptions options;
  options.snapshot = wanted.file;
  options.name = wanted.name;
  options.data_dir = wanted.data_dir;
  options.initial_advertise_peer_urls = wanted.peer_urls;
  options.initial_cluster = wanted.initial_cluster;
  if (options.initial_cluster.empty()) {
    for (const std::string& url : wanted.peer_urls) {
      absl::StrAppend(&options.initial_cluster, options.initial_cluster.empty() ? "" : ",",
                      wanted.name, "=", url);
    }
  }
  options.initial_cluster_token = wanted.initial_cluster_token;
  options.skip_hash_check = wanted.skip_hash_check;
  options.bump_revision = wanted.bump_revision;
  options.mark_compacted = wanted.mark_compacted;
  options.accept_auth_off = wanted.accept_auth_off;
  ProgressBar bar("snapshot restore", 0, OnTerminal(), &std::cerr,
                  [](uint64_t changes) { return absl::StrCat(changes, " changes"); });
  options.on_progress = [&bar](uint64_t changes) { bar.Update(changes); };
  const auto restored = server::RestoreSnapshot(options);
  bar.Finish();
  if (!restored.ok()) return Fail(restored.status(), kFailed);
  const int64_t compacted = restored->imported.compact_revision;
  std::cout << "Restored " << restored->data_dir << ": revision " << restored->imported.revision
            << ", "
            << (compacted > 0 ? absl::StrCat("compacted at ", compacted) : "never compacted")
            << ", " << restored->imported.changes << " changes, " << restored->imported.leases
            << " leases, " << restored->imported.users << " users, " << restored->imported.roles
            << " roles\n";
  return kDone;
}

}  // namespace

int RunSnapshot(Command* command) {
  switch (command->arguments.verb) {
    case Verb::kSnapshotSave:
      return Save(command);
    case Verb::kSnapshotStatus:
      return ShowStatus(command);
    default:
      return Restore(command);
  }
}

}  // namespace client
