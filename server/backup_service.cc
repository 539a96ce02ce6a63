// SPDX-License-Identifier: Apache-2.0

#include "server/backup_service.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status.h"
#include "glog/logging.h"
#include "proto/etcd/rpc.pb.h"
#include "rpc/typed.h"
#include "server/errors.h"
#include "server/flags.h"

namespace server {
namespace {

// As etcd sends it.
constexpr size_t kBlobBytes = 32 << 10;
// What may wait for the client to read it.
constexpr size_t kQueuedBytesMax = 1 << 20;

}  // namespace

// The stream as its writer sees it.
class BackupService::Flow {
 public:
  explicit Flow(std::shared_ptr<rpc::Stream> stream) : stream_(std::move(stream)) {
    stream_->EndIfUnread();
  }

  // Waits for the client if it lags. Errors: Cancelled if it has gone, or was sent away.
  absl::Status Send(const etcdserverpb::SnapshotResponse& response) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return gone_ || drained_; });
    if (gone_) return absl::CancelledError("the client has gone");
    // Before the write, whose end may be told at once.
    const bool full = queued_ + response.ByteSizeLong() > kQueuedBytesMax;
    if (full) drained_ = false;
    lock.unlock();
    const size_t queued = stream_->Write(response.SerializeAsString());
    lock.lock();
    queued_ = queued;
    return absl::OkStatus();
  }

  void Drained() {
    std::lock_guard lock(mutex_);
    drained_ = true;
    queued_ = 0;
    changed_.notify_all();
  }
  void Gone() {
    std::lock_guard lock(mutex_);
    gone_ = true;
    changed_.notify_all();
  }
  void Finish(const absl::Status& status) { stream_->Finish(status); }

 private:
  const std::shared_ptr<rpc::Stream> stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool drained_ = true;
  bool gone_ = false;
  size_t queued_ = 0;
};

class BackupService::Session final : public rpc::StreamHandler {
 public:
  Session(BackupService* service, std::shared_ptr<rpc::Stream> stream)
      : service_(service), flow_(std::make_shared<Flow>(std::move(stream))) {}

  void OnMessage(std::string message) override {
    if (std::exchange(started_, true)) return;
    const auto request = rpc::Decode<etcdserverpb::SnapshotRequest>(message);
    if (!request.ok()) return flow_->Finish(request.status());
    const bool taken = service_->run_long_(
        [service = service_, flow = flow_] { flow->Finish(service->Write(flow.get())); });
    if (!taken) {
      flow_->Finish(absl::ResourceExhaustedError(
          "datum: other snapshots of this member are under way; try again, or ask another member"));
    }
  }
  void OnHalfClose() override {
    if (!started_) flow_->Finish(absl::InternalError("the call brought no request"));
  }
  void OnDrained() override { flow_->Drained(); }
  void OnDone() override { flow_->Gone(); }

 private:
  BackupService* const service_;
  const std::shared_ptr<Flow> flow_;
  bool started_ = false;
};

void BackupService::Register(rpc::Registry* registry) {
  registry->AddStream(
      "/etcdserverpb.Maintenance/Snapshot",
      [this](std::shared_ptr<rpc::Stream> stream) -> std::unique_ptr<rpc::StreamHandler> {
        return std::make_unique<Session>(this, std::move(stream));
      });
}

absl::Status BackupService::Write(Flow* flow) {
  static std::atomic<uint64_t> number{0};
  if (gate_->stopping()) return ErrorStatus(WireError::kStopped);
  const base::TimePoint began = gate_->Now();
  const auto snapshot = state_->PlanBackup(absl::StrCat(kClusterVersion, ".0"), &files_,
                                           absl::StrCat(spool_directory_, "/spool-", ++number));
  RETURN_IF_ERROR(FromStore(snapshot.status()));
  LOG(INFO) << "sends a snapshot at revision " << (*snapshot)->revision() << ", "
            << (*snapshot)->bytes() << " bytes";
  uint64_t left = (*snapshot)->bytes();
  base::Sha256 hash;
  etcdserverpb::SnapshotResponse response;
  response.set_version(absl::StrCat(kClusterVersion, ".0"));
  absl::Status sent;
  const auto send = [&](std::string_view blob) {
    left -= std::min<uint64_t>(left, blob.size());
    response.set_remaining_bytes(left);
    response.set_blob(blob.data(), blob.size());
    sent = gate_->stopping() ? ErrorStatus(WireError::kStopped) : flow->Send(response);
    return sent.ok();
  };
  std::string waiting;
  const absl::Status written = (*snapshot)->Write([&](std::string_view bytes) {
    hash.Add(bytes);
    waiting.append(bytes);
    if (waiting.size() < kBlobBytes) return true;
    return send(std::exchange(waiting, {}));
  });
  RETURN_IF_ERROR(sent);
  RETURN_IF_ERROR(FromStore(written));
  if (!waiting.empty() && !send(waiting)) return sent;
  if (!send(hash.Finish())) return sent;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(gate_->Now() - began);
  LOG(INFO) << "has sent a snapshot in " << took.count() << " ms";
  return absl::OkStatus();
}

}  // namespace server
