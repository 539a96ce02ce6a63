// SPDX-License-Identifier: Apache-2.0

#include "server/peer_transport.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "rpc/frames.h"

namespace server {
namespace {

constexpr char kMethod[] = "/datum.Peer/Messages";
constexpr char kClusterName[] = "datum-cluster";
constexpr char kFromName[] = "datum-from";
constexpr char kToName[] = "datum-to";

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

class Receiver final : public rpc::StreamHandler {
 public:
  Receiver(std::shared_ptr<rpc::Stream> stream, const std::function<void(std::string)>* receive)
      : stream_(std::move(stream)), receive_(receive) {}

  void OnMessage(std::string message) override {
    const absl::Status status = rpc::ForEachFrame(
        message, [this](std::string_view frame) { (*receive_)(std::string(frame)); });
    if (!status.ok()) stream_->Finish(status);
  }

  void OnHalfClose() override { stream_->Finish(absl::OkStatus()); }

 private:
  std::shared_ptr<rpc::Stream> stream_;
  const std::function<void(std::string)>* const receive_;
};

// Takes nothing: its stream has been refused.
class Refused final : public rpc::StreamHandler {
 public:
  void OnMessage(std::string) override {}
  void OnHalfClose() override {}
};

}  // namespace

PeerTransport::PeerTransport(const InitialCluster& cluster) : cluster_(cluster) {
  for (const InitialMember& member : cluster.members) {
    if (member.id != cluster.self) peers_[member.id].member = member;
  }
}

PeerTransport::~PeerTransport() { Disconnect(); }

absl::Status PeerTransport::CheckSender(const rpc::Call& call) const {
  if (call.Metadata(kClusterName) != Hex(cluster_.cluster_id)) {
    return absl::FailedPreconditionError("etcdserver: cluster ID mismatch");
  }
  if (call.Metadata(kToName) != Hex(cluster_.self)) {
    return absl::FailedPreconditionError(
        absl::StrCat("this is member ", Hex(cluster_.self), ", not ",
                     call.Metadata(kToName).value_or("one that was named")));
  }
  for (const auto& [id, peer] : peers_) {
    if (call.Metadata(kFromName) == Hex(id)) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "member ", call.Metadata(kFromName).value_or("without a name"), " is not of this cluster"));
}

void PeerTransport::Register(rpc::Registry* registry, std::function<void(std::string)> receive) {
  auto shared = std::make_shared<std::function<void(std::string)>>(std::move(receive));
  registry->AddStream(
      kMethod,
      [this, shared](std::shared_ptr<rpc::Stream> stream) -> std::unique_ptr<rpc::StreamHandler> {
        const absl::Status status = CheckSender(*stream);
        if (status.ok()) return std::make_unique<Receiver>(std::move(stream), shared.get());
        LOG(WARNING) << "a stream from " << stream->peer() << " is refused: " << status.message();
        stream->Finish(status);
        return std::make_unique<Refused>();
      });
}

std::unique_ptr<rpc::SendStream> PeerTransport::OpenStream(Peer* peer) const {
  const auto url = ParseUrl(peer->member.peer_urls.at(0));
  CHECK(url.ok()) << url.status();
  rpc::SendStreamOptions options;
  options.address = url->Address();
  options.method = kMethod;
  options.metadata = {{kClusterName, Hex(cluster_.cluster_id)},
                      {kFromName, Hex(cluster_.self)},
                      {kToName, Hex(peer->member.id)}};
  return std::make_unique<rpc::SendStream>(
      options, [peer](bool connected, const std::string& why) { Report(peer, connected, why); });
}

void PeerTransport::Report(Peer* peer, bool connected, const std::string& why) {
  if (peer->reported && peer->reported_connected == connected) return;
  peer->reported = true;
  peer->reported_connected = connected;
  if (connected) {
    LOG(INFO) << "connected to " << peer->member.name << " (" << Hex(peer->member.id) << ")";
  } else {
    LOG(WARNING) << "no connection to " << peer->member.name << " (" << Hex(peer->member.id)
                 << "), trying on: " << why;
  }
}

void PeerTransport::Connect() {
  for (auto& [id, peer] : peers_) peer.stream = OpenStream(&peer);
}

void PeerTransport::Disconnect() {
  for (auto& [id, peer] : peers_) peer.stream = nullptr;
}

void PeerTransport::Send(raft::NodeId to, std::string bytes) {
  const auto found = peers_.find(to.value());
  CHECK(found != peers_.end()) << "no such member: " << Hex(to.value());
  if (found->second.stream != nullptr) found->second.stream->Send(std::move(bytes));
}

}  // namespace server
