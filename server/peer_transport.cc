// SPDX-License-Identifier: Apache-2.0

#include "server/peer_transport.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "glog/logging.h"
#include "rpc/frames.h"

namespace server {
namespace {

constexpr char kMethod[] = "/datum.Peer/Messages";
constexpr char kClusterName[] = "datum-cluster";
constexpr char kFromName[] = "datum-from";
constexpr char kToName[] = "datum-to";
constexpr char kUuidName[] = "datum-uuid";
constexpr char kUrlsName[] = "datum-urls";

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

uint64_t SenderOf(const rpc::Call& call) {
  uint64_t id = 0;
  const bool read = absl::SimpleHexAtoi(call.Metadata(kFromName).value_or(""), &id);
  return read ? id : 0;
}

std::string UuidOf(const rpc::Call& call) {
  return absl::HexStringToBytes(call.Metadata(kUuidName).value_or(""));
}

// Takes nothing: its stream has been refused.
class Refused final : public rpc::StreamHandler {
 public:
  void OnMessage(std::string) override {}
  void OnHalfClose() override {}
};

}  // namespace

class PeerTransport::Receiver final : public rpc::StreamHandler {
 public:
  Receiver(PeerTransport* transport, uint64_t from, std::shared_ptr<rpc::Stream> stream,
           std::shared_ptr<const std::function<void(std::string)>> receive)
      : transport_(transport),
        from_(from),
        stream_(std::move(stream)),
        receive_(std::move(receive)) {}

  void OnMessage(std::string message) override {
    const absl::Status status = rpc::ForEachFrame(
        message, [this](std::string_view frame) { (*receive_)(std::string(frame)); });
    if (!status.ok()) stream_->Finish(status);
  }
  void OnHalfClose() override { stream_->Finish(absl::OkStatus()); }
  void OnDone() override {
    transport_->Forget(stream_.get());
    if (transport_->hooks_.lost) transport_->hooks_.lost(from_);
  }

 private:
  PeerTransport* const transport_;
  const uint64_t from_;
  const std::shared_ptr<rpc::Stream> stream_;
  const std::shared_ptr<const std::function<void(std::string)>> receive_;
};

PeerTransport::PeerTransport(PeerIdentity identity, const base::Clock* clock, Hooks hooks)
    : identity_(std::move(identity)), clock_(clock), hooks_(std::move(hooks)) {}

PeerTransport::~PeerTransport() { Disconnect(); }

absl::Status PeerTransport::CheckSender(const rpc::Call& call) const {
  if (call.Metadata(kClusterName) != Hex(identity_.cluster_id)) {
    return absl::FailedPreconditionError("etcdserver: cluster ID mismatch");
  }
  if (call.Metadata(kToName) != Hex(identity_.self)) {
    return absl::FailedPreconditionError(
        absl::StrCat("this is member ", Hex(identity_.self), ", not ",
                     call.Metadata(kToName).value_or("one that was named")));
  }
  const uint64_t from = SenderOf(call);
  if (from == 0 || from == identity_.self) {
    return absl::FailedPreconditionError("the sender is not another member");
  }
  return hooks_.check ? hooks_.check(from, UuidOf(call)) : absl::OkStatus();
}

std::map<std::string, std::string> PeerTransport::MetadataFor(uint64_t peer) const {
  return {{kClusterName, Hex(identity_.cluster_id)},
          {kFromName, Hex(identity_.self)},
          {kToName, Hex(peer)},
          {kUuidName, absl::BytesToHexString(identity_.data_dir_uuid)},
          {kUrlsName, absl::StrJoin(identity_.peer_urls, ",")}};
}

void PeerTransport::Register(rpc::Registry* registry, std::function<void(std::string)> receive) {
  auto shared = std::make_shared<const std::function<void(std::string)>>(std::move(receive));
  registry->AddStream(
      kMethod,
      [this, shared](std::shared_ptr<rpc::Stream> stream) -> std::unique_ptr<rpc::StreamHandler> {
        const absl::Status status = CheckSender(*stream);
        if (!status.ok()) {
          LOG_EVERY_N(WARNING, 20)
              << "a stream from " << stream->peer() << " (member " << Hex(SenderOf(*stream))
              << ") is refused: " << status.message();
          stream->Finish(status);
          return std::make_unique<Refused>();
        }
        const uint64_t from = SenderOf(*stream);
        const auto urls = stream->Metadata(kUrlsName);
        if (urls && hooks_.learn) {
          hooks_.learn(from, {"", absl::StrSplit(*urls, ',', absl::SkipEmpty())});
        }
        {
          std::lock_guard lock(incoming_mutex_);
          incoming_[stream.get()] = {from, UuidOf(*stream), stream};
        }
        return std::make_unique<Receiver>(this, from, std::move(stream), shared);
      });
}

void PeerTransport::Forget(const rpc::Stream* stream) {
  std::lock_guard lock(incoming_mutex_);
  incoming_.erase(stream);
}

std::shared_ptr<PeerTransport::Peer> PeerTransport::Open(uint64_t id, const PeerPlace& address) {
  auto peer = std::make_shared<Peer>();
  peer->id = id;
  peer->address = address;
  const auto url = ParseUrl(address.peer_urls.at(0));
  if (!url.ok()) {
    LOG(WARNING) << "member " << Hex(id) << " cannot be reached: " << url.status().message();
    return peer;
  }
  rpc::SendStreamOptions options;
  options.address = url->Address();
  options.method = kMethod;
  options.metadata = MetadataFor(id);
  // The peer outlives its stream, and with it the reports.
  peer->stream = std::make_unique<rpc::SendStream>(
      options, [this, raw = peer.get()](bool connected, const std::string& why) {
        Report(raw, connected, why);
      });
  return peer;
}

void PeerTransport::Report(Peer* peer, bool connected, const std::string& why) const {
  const bool was_up = peer->reported_connected;
  const bool changed = !peer->reported || peer->reported_connected != connected;
  peer->reported = true;
  peer->reported_connected = connected;
  peer->connected_since = connected ? clock_->Now().time_since_epoch().count() : 0;
  const std::string who = absl::StrCat(peer->address.name, peer->address.name.empty() ? "" : " ",
                                       "(", Hex(peer->id), ")");
  if (changed && connected) LOG(INFO) << "connected to " << who;
  if (changed && !connected) LOG(WARNING) << "no connection to " << who << ", trying on: " << why;
  if (connected) return;
  if (was_up && hooks_.lost) hooks_.lost(peer->id);
  if (hooks_.refused) hooks_.refused(peer->id, why);
}

void PeerTransport::SetPeers(const std::map<uint64_t, PeerPlace>& peers) {
  std::vector<std::shared_ptr<Peer>> gone;
  std::vector<std::shared_ptr<Peer>> opened;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, address] : peers) {
      const auto found = peers_.find(id);
      if (found != peers_.end() && found->second->address.peer_urls == address.peer_urls) continue;
      opened.push_back(nullptr);
      lock.unlock();
      opened.back() = Open(id, address);
      lock.lock();
    }
  }
  {
    std::unique_lock lock(mutex_);
    std::erase_if(peers_, [&](auto& item) {
      if (peers.count(item.first) > 0) return false;
      gone.push_back(item.second);
      return true;
    });
    for (std::shared_ptr<Peer>& peer : opened) {
      std::shared_ptr<Peer>& place = peers_[peer->id];
      if (place != nullptr) gone.push_back(place);
      place = std::move(peer);
    }
  }
  for (const std::shared_ptr<Peer>& peer : gone) peer->stream = nullptr;
  EndUnwantedStreams();
}

void PeerTransport::EndUnwantedStreams() {
  if (!hooks_.check) return;
  std::vector<std::pair<std::shared_ptr<rpc::Stream>, absl::Status>> unwanted;
  {
    std::lock_guard lock(incoming_mutex_);
    for (const auto& [raw, incoming] : incoming_) {
      const absl::Status status = hooks_.check(incoming.from, incoming.uuid);
      auto stream = incoming.stream.lock();
      if (!status.ok() && stream != nullptr) unwanted.push_back({std::move(stream), status});
    }
  }
  for (const auto& [stream, status] : unwanted) stream->Finish(status);
}

void PeerTransport::Disconnect() {
  std::map<uint64_t, std::shared_ptr<Peer>> gone;
  {
    std::unique_lock lock(mutex_);
    gone.swap(peers_);
  }
  for (auto& [id, peer] : gone) peer->stream = nullptr;
}

void PeerTransport::Send(raft::NodeId to, std::string bytes) {
  std::shared_lock lock(mutex_);
  const auto found = peers_.find(to.value());
  if (found == peers_.end() || found->second->stream == nullptr) return;
  found->second->stream->Send(std::move(bytes));
}

std::optional<base::TimePoint> PeerTransport::ConnectedSince(uint64_t peer) const {
  std::shared_lock lock(mutex_);
  const auto found = peers_.find(peer);
  const auto since = found == peers_.end() ? 0 : found->second->connected_since.load();
  if (since == 0) return std::nullopt;
  return base::TimePoint(base::Duration(since));
}

std::optional<std::string> PeerTransport::IncomingUuid(uint64_t peer) const {
  std::lock_guard lock(incoming_mutex_);
  for (const auto& [raw, incoming] : incoming_) {
    if (incoming.from == peer && !incoming.uuid.empty()) return incoming.uuid;
  }
  return std::nullopt;
}

std::string PeerTransport::AddressOf(uint64_t peer) const {
  std::shared_lock lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return "";
  const auto url = ParseUrl(found->second->address.peer_urls.at(0));
  return url.ok() ? url->Address() : "";
}

}  // namespace server
