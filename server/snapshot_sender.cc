// SPDX-License-Identifier: Apache-2.0

#include "server/snapshot_sender.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "glog/logging.h"
#include "proto/snapshot_transfer.pb.h"
#include "store/snapshot_files.h"

namespace server {
namespace {

namespace wire = ::datum::snapshot;

constexpr size_t kPieceBytes = 1 << 20;
constexpr base::Duration kPatience = std::chrono::seconds(30);
constexpr base::Duration kProgressInterval = std::chrono::seconds(10);
constexpr char kCheckpointName[] = "outgoing";

int64_t MebiBytes(uint64_t bytes) { return static_cast<int64_t>(bytes >> 20); }

}  // namespace

SnapshotSender::SnapshotSender(SnapshotSenderOptions options, MakeCheckpoint make_checkpoint,
                               FindPeer find_peer, DiscardStaged discard)
    : options_(std::move(options)),
      make_checkpoint_(std::move(make_checkpoint)),
      find_peer_(std::move(find_peer)),
      discard_(std::move(discard)) {
  // What a crash left behind holds on to files that are in use no more.
  std::error_code ignored;
  std::filesystem::remove_all(absl::StrCat(options_.directory, "/", kCheckpointName), ignored);
}

void SnapshotSender::SendSnapshot(raft::NodeId peer, raft::Term term, Done done) {
  {
    std::lock_guard lock(mutex_);
    if (!stopped_ && busy_.insert(peer).second) {
      jobs_.push_back({peer, term, std::move(done)});
      changed_.notify_all();
      return;
    }
  }
  done(absl::UnavailableError("one is on its way to this peer, or the server stops"));
}

void SnapshotSender::Run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    absl::StatusOr<raft::LogPosition> outcome = Send(job);
    {
      std::lock_guard lock(mutex_);
      busy_.erase(job.peer);
    }
    job.done(std::move(outcome));
  }
}

void SnapshotSender::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (caller_ != nullptr) caller_->Cancel();
  changed_.notify_all();
}

absl::StatusOr<raft::LogPosition> SnapshotSender::Send(const Job& job) {
  ASSIGN_OR_RETURN(const PeerAddress address, find_peer_(job.peer));
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return absl::CancelledError("the server stops");
    caller_ = std::make_shared<rpc::UnaryCaller>(address.address);
  }
  const std::string directory = absl::StrCat(options_.directory, "/", kCheckpointName);
  // One that a crash left behind.
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  const absl::Status made = make_checkpoint_(directory);
  const absl::StatusOr<raft::LogPosition> outcome =
      made.ok() ? SendFiles(directory, job.term, address) : made;
  std::filesystem::remove_all(directory, ignored);
  std::lock_guard lock(mutex_);
  caller_ = nullptr;
  return outcome;
}

absl::StatusOr<raft::LogPosition> SnapshotSender::SendFiles(const std::string& directory,
                                                            raft::Term term,
                                                            const PeerAddress& address) {
  metadata_ = address.metadata;
  sent_bytes_ = 0;
  began_ = clock_.Now();
  ASSIGN_OR_RETURN(const auto files, store::ListSnapshotFiles(&files_, directory));
  wire::BeginRequest begin;
  begin.set_leader_term(term.value());
  uint64_t all_bytes = 0;
  for (const store::SnapshotFile& file : files) {
    wire::File* to = begin.add_files();
    to->set_name(file.name);
    to->set_length(file.length);
    to->set_crc(file.crc);
    all_bytes += file.length;
  }
  LOG(INFO) << "sends its state to " << address.address << ": " << files.size() << " files, "
            << MebiBytes(all_bytes) << " MiB";
  ASSIGN_OR_RETURN(const std::string began,
                   Call("/datum.Peer/SnapshotBegin", begin.SerializeAsString()));
  wire::BeginResponse transfer;
  if (!transfer.ParseFromString(began)) return absl::InternalError("not an answer: Begin");
  for (size_t i = 0; i < files.size(); ++i) {
    RETURN_IF_ERROR(SendFile(absl::StrCat(directory, "/", files[i].name), transfer.transfer(),
                             static_cast<uint32_t>(i), files[i].length));
  }
  wire::EndRequest end;
  end.set_transfer(transfer.transfer());
  ASSIGN_OR_RETURN(const std::string ended,
                   Call("/datum.Peer/SnapshotEnd", end.SerializeAsString()));
  wire::EndResponse position;
  if (!position.ParseFromString(ended)) return absl::InternalError("not an answer: End");
  LOG(INFO) << "has sent its state to " << address.address << ", entry " << position.index();
  return raft::LogPosition{raft::Term(position.term()), raft::Index(position.index())};
}

absl::Status SnapshotSender::SendFile(const std::string& path, uint64_t transfer, uint32_t file,
                                      uint64_t length) {
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> source, files_.Open(path, false));
  base::TimePoint told = clock_.Now();
  for (uint64_t offset = 0; offset < length;) {
    wire::PieceRequest piece;
    ASSIGN_OR_RETURN(*piece.mutable_bytes(), source->ReadAt(offset, kPieceBytes));
    if (piece.bytes().empty()) return absl::DataLossError(path + " became shorter");
    piece.set_transfer(transfer);
    piece.set_file(file);
    piece.set_offset(offset);
    piece.set_crc(base::Crc32c(piece.bytes()));
    offset += piece.bytes().size();
    if (!WaitForRate(piece.bytes().size())) return absl::CancelledError("the server stops");
    RETURN_IF_ERROR(Call("/datum.Peer/SnapshotPiece", piece.SerializeAsString()).status());
    if (clock_.Now() < told + kProgressInterval) continue;
    told = clock_.Now();
    LOG(INFO) << "has sent " << MebiBytes(sent_bytes_) << " MiB of its state";
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SnapshotSender::Call(const std::string& method, std::string request) {
  std::shared_ptr<rpc::UnaryCaller> caller;
  {
    std::lock_guard lock(mutex_);
    caller = caller_;
  }
  return caller->Call(method, metadata_, std::move(request), kPatience);
}

bool SnapshotSender::WaitForRate(uint64_t bytes) {
  std::unique_lock lock(mutex_);
  sent_bytes_ += bytes;
  if (options_.bytes_per_second == 0) return !stopped_;
  const auto due =
      began_ +
      std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(
          static_cast<double>(sent_bytes_) / static_cast<double>(options_.bytes_per_second)));
  const base::TimePoint now = clock_.Now();
  if (due > now) changed_.wait_for(lock, due - now, [this] { return stopped_; });
  return !stopped_;
}

}  // namespace server
