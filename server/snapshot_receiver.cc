// SPDX-License-Identifier: Apache-2.0

#include "server/snapshot_receiver.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "base/status.h"
#include "glog/logging.h"
#include "proto/snapshot_transfer.pb.h"
#include "rpc/typed.h"

namespace server {
namespace {

namespace wire = ::datum::snapshot;

constexpr size_t kJobsMax = 64;
constexpr size_t kFilesMax = 100'000;
// How long a sender must have said nothing until one that leads in `term` may send instead. A
// leader sends one at a time, so its own last one is over; of one that leads no more the state is
// as good.
base::Duration SilenceFor(uint64_t senders_term, uint64_t term) {
  if (term == senders_term) return base::Duration::zero();
  return term > senders_term ? std::chrono::seconds(2) : std::chrono::seconds(10);
}

}  // namespace

SnapshotReceiver::SnapshotReceiver(std::string directory, const base::Clock* clock,
                                   CheckSender check, Inspect inspect, Arrived arrived)
    : directory_(std::move(directory)),
      taken_(absl::StrCat(directory_, ".taken")),
      check_(std::move(check)),
      inspect_(std::move(inspect)),
      arrived_(std::move(arrived)),
      clock_(clock),
      next_number_(base::EntropySeed()) {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  std::filesystem::remove_all(taken_, ignored);
}

void SnapshotReceiver::Register(rpc::Registry* registry) {
  Handle(registry, "/datum.Peer/SnapshotBegin", &SnapshotReceiver::Begin);
  Handle(registry, "/datum.Peer/SnapshotPiece", &SnapshotReceiver::Piece);
  Handle(registry, "/datum.Peer/SnapshotEnd", &SnapshotReceiver::End);
}

void SnapshotReceiver::Handle(
    rpc::Registry* registry, const std::string& method,
    absl::StatusOr<std::string> (SnapshotReceiver::*handler)(const std::string&)) {
  registry->AddUnary(
      method, [this, handler](const rpc::Call& call, std::string request, rpc::UnaryDone done) {
        const absl::Status allowed = check_(call);
        if (!allowed.ok()) return done(allowed, "");
        std::lock_guard lock(mutex_);
        if (stopped_ || jobs_.size() >= kJobsMax) {
          return done(absl::UnavailableError("takes no snapshot now"), "");
        }
        jobs_.push_back([this, handler, request = std::move(request), done = std::move(done)] {
          absl::StatusOr<std::string> answer = (this->*handler)(request);
          if (answer.ok()) return done(absl::OkStatus(), *std::move(answer));
          LOG(WARNING) << "a snapshot is refused: " << answer.status().message();
          done(answer.status(), "");
        });
        changed_.notify_all();
      });
}

void SnapshotReceiver::Run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void SnapshotReceiver::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

absl::StatusOr<std::string> SnapshotReceiver::Begin(const std::string& request) {
  ASSIGN_OR_RETURN(const auto begin, rpc::Decode<wire::BeginRequest>(request));
  std::lock_guard lock(transfer_mutex_);
  if (transfer_) {
    const base::Duration silence = SilenceFor(transfer_->leader_term, begin.leader_term());
    if (transfer_->complete || clock_->Now() < transfer_->last_heard + silence) {
      return absl::UnavailableError("another snapshot is being taken");
    }
  }
  Abandon();
  if (static_cast<size_t>(begin.files_size()) > kFilesMax) {
    return absl::InvalidArgumentError("a snapshot of too many files");
  }
  std::vector<store::SnapshotFile> manifest;
  for (const wire::File& file : begin.files()) {
    manifest.push_back({file.name(), file.length(), file.crc()});
  }
  ASSIGN_OR_RETURN(auto staging,
                   store::SnapshotStaging::Begin(&files_, directory_, std::move(manifest)));
  transfer_ = Transfer{++next_number_, begin.leader_term(), std::move(staging), clock_->Now()};
  LOG(INFO) << "takes a state of " << begin.files_size() << " files from another member";
  wire::BeginResponse response;
  response.set_transfer(transfer_->number);
  return response.SerializeAsString();
}

// Requires: transfer_mutex_ is held.
absl::StatusOr<SnapshotReceiver::Transfer*> SnapshotReceiver::Find(uint64_t number) {
  if (!transfer_ || transfer_->number != number || transfer_->complete) {
    return absl::FailedPreconditionError("no such snapshot is being taken");
  }
  transfer_->last_heard = clock_->Now();
  return &*transfer_;
}

absl::StatusOr<std::string> SnapshotReceiver::Piece(const std::string& request) {
  ASSIGN_OR_RETURN(const auto piece, rpc::Decode<wire::PieceRequest>(request));
  std::lock_guard lock(transfer_mutex_);
  ASSIGN_OR_RETURN(Transfer* const transfer, Find(piece.transfer()));
  absl::Status written = absl::DataLossError("a piece of a snapshot came with a wrong checksum");
  if (base::Crc32c(piece.bytes()) == piece.crc()) {
    written = transfer->staging->Write(piece.file(), piece.offset(), piece.bytes());
  }
  if (!written.ok()) {
    Abandon();
    return written;
  }
  return wire::PieceResponse().SerializeAsString();
}

absl::StatusOr<std::string> SnapshotReceiver::End(const std::string& request) {
  ASSIGN_OR_RETURN(const auto end, rpc::Decode<wire::EndRequest>(request));
  std::unique_lock lock(transfer_mutex_);
  ASSIGN_OR_RETURN(Transfer* const transfer, Find(end.transfer()));
  const absl::Status finished = transfer->staging->Finish();
  const absl::StatusOr<raft::LogPosition> position =
      finished.ok() ? inspect_(directory_) : finished;
  if (!position.ok()) {
    Abandon();
    return position.status();
  }
  transfer->complete = true;
  const uint64_t number = transfer->number;
  lock.unlock();
  LOG(INFO) << "has taken a state that stands at entry " << position->index;
  arrived_({*position, number});
  wire::EndResponse response;
  response.set_term(position->term.value());
  response.set_index(position->index.value());
  return response.SerializeAsString();
}

absl::StatusOr<std::string> SnapshotReceiver::Take(uint64_t staged) {
  std::lock_guard lock(transfer_mutex_);
  if (!transfer_ || transfer_->number != staged || !transfer_->complete) {
    return absl::NotFoundError("the staged snapshot is gone");
  }
  // Out of the way of the next transfer, which empties the directory of this one.
  std::error_code error;
  std::filesystem::remove_all(taken_, error);
  std::filesystem::rename(directory_, taken_, error);
  if (error) {
    Abandon();
    return absl::InternalError(absl::StrCat(directory_, ": ", error.message()));
  }
  transfer_->staging->Release();
  transfer_.reset();
  return taken_;
}

// Not at once: its caller must not wait for the disk.
void SnapshotReceiver::Discard(uint64_t staged) {
  std::lock_guard lock(mutex_);
  jobs_.push_back([this, staged] {
    std::lock_guard transfer_lock(transfer_mutex_);
    if (!transfer_ || transfer_->number != staged) return;
    LOG(INFO) << "throws away a state that came and is not wanted any more";
    Abandon();
  });
  changed_.notify_all();
}

// Requires: transfer_mutex_ is held. The staging removes its directory.
void SnapshotReceiver::Abandon() { transfer_.reset(); }

}  // namespace server
