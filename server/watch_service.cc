// SPDX-License-Identifier: Apache-2.0

#include "server/watch_service.h"

#include <algorithm>
#include <utility>

#include "proto/etcd/rpc.pb.h"
#include "rpc/typed.h"
#include "server/errors.h"

namespace server {
namespace {

// A stream of the transport as the hub's far end. The hub may know it longer than the transport.
class StreamSink final : public store::WatchSink {
 public:
  explicit StreamSink(std::shared_ptr<rpc::Stream> stream) : stream_(std::move(stream)) {}
  size_t Send(std::string response) override { return stream_->Write(std::move(response)); }
  void End(absl::Status status) override { stream_->Abort(std::move(status)); }

 private:
  const std::shared_ptr<rpc::Stream> stream_;
};

class Session final : public rpc::StreamHandler {
 public:
  Session(std::shared_ptr<rpc::Stream> stream, store::WatchHub* hub)
      : stream_(std::move(stream)),
        hub_(hub),
        watching_(hub->Open(std::make_shared<StreamSink>(stream_))) {}

  void OnMessage(std::string message) override {
    auto request = rpc::Decode<etcdserverpb::WatchRequest>(message);
    if (!request.ok()) return stream_->Abort(request.status());
    const absl::Status taken = hub_->Request(watching_, *std::move(request));
    if (!taken.ok()) stream_->Abort(taken);
  }
  // As etcd: who sends no more is told no more.
  void OnHalfClose() override { stream_->Finish(absl::OkStatus()); }
  void OnDrained() override { hub_->Drained(watching_); }
  void OnDone() override { hub_->Close(watching_); }

 private:
  const std::shared_ptr<rpc::Stream> stream_;
  store::WatchHub* const hub_;
  const std::shared_ptr<store::WatchStream> watching_;
};

// Ended before it began.
class Refused final : public rpc::StreamHandler {
  void OnMessage(std::string) override {}
  void OnHalfClose() override {}
};

}  // namespace

void WatchService::Register(rpc::Registry* registry) {
  registry->AddStream("/etcdserverpb.Watch/Watch", [this](std::shared_ptr<rpc::Stream> stream) {
    return Open(std::move(stream));
  });
}

std::unique_ptr<rpc::StreamHandler> WatchService::Open(std::shared_ptr<rpc::Stream> stream) {
  absl::Status served = gate_->CheckServed();
  if (served.ok()) served = gate_->CheckLeaderWanted(*stream);
  if (!served.ok()) {
    stream->Finish(served);
    return std::make_unique<Refused>();
  }
  if (stream->Metadata("hasleader") == "true") {
    std::lock_guard lock(mutex_);
    want_leader_.push_back(stream);
  }
  return std::make_unique<Session>(std::move(stream), hub_);
}

void WatchService::Look(base::TimePoint now) {
  const raft::NodeStatus status = gate_->replica().status();
  const bool lost = status.leader == raft::kNobody &&
                    now - status.leader_lost_at >= 3 * gate_->options().election_timeout;
  std::lock_guard lock(mutex_);
  std::erase_if(want_leader_, [&](const std::weak_ptr<rpc::Stream>& weak) {
    const std::shared_ptr<rpc::Stream> stream = weak.lock();
    if (stream == nullptr) return true;
    if (lost) stream->Abort(ErrorStatus(WireError::kNoLeader));
    return lost;
  });
}

}  // namespace server
