// SPDX-License-Identifier: Apache-2.0
//
// peer_transport.h: Raft's messages between members that come and go: one stream each way, on the
// peer URL.
//
// Each stream says in its metadata which cluster it belongs to, who sends, from which data
// directory, where it is reached, and who is meant; a receiver that is somebody else, or that knows
// better who the sender is, refuses it.
//
// Threads: any. Errors: what cannot be sent is dropped and logged once for each change.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/time.h"
#include "raft/node/ports.h"
#include "rpc/grpc_channel.h"
#include "rpc/handler.h"
#include "server/config.h"
#include "server/peer_book.h"

namespace server {

// Who this member is to the others.
struct PeerIdentity {
  uint64_t cluster_id = 0;
  uint64_t self = 0;
  std::string data_dir_uuid;
  std::vector<std::string> peer_urls;
};

class PeerTransport final : public raft::Transport {
 public:
  // What the transport asks and tells, from threads of grpc++'s; none may block. All may be empty.
  struct Hooks {
    // Whether this sender is to be heard (server/membership.h, CheckPeer).
    std::function<absl::Status(uint64_t from, const std::string& uuid)> check;
    // A member of this cluster has said where it is reached.
    std::function<void(uint64_t from, const PeerPlace& address)> learn;
    // A connection from or to that member, which was up, broke.
    std::function<void(uint64_t peer)> lost;
    // That member does not hear this one, and says why.
    std::function<void(uint64_t peer, const std::string& why)> refused;
  };

  PeerTransport(PeerIdentity identity, const base::Clock* clock, Hooks hooks);
  ~PeerTransport() override;

  // Answers the other members' streams: each message goes to `receive`, which must outlive the
  // registry's transport.
  void Register(rpc::Registry* registry, std::function<void(std::string)> receive);

  // From now on these are the others: connects, and ends streams from and to everybody else who
  // is not to be heard. Waits for what ends. Threads: one at a time, none of grpc++'s.
  void SetPeers(const std::map<uint64_t, PeerPlace>& peers);
  // Ends the streams to all. What is sent afterwards is dropped.
  void Disconnect();

  // To somebody who is not known it is dropped.
  void Send(raft::NodeId to, std::string bytes) override;

  // Since when the stream to that member stands; nothing if it does not.
  std::optional<base::TimePoint> ConnectedSince(uint64_t peer) const;
  // The data directory from which that member speaks; nothing if it does not speak.
  std::optional<std::string> IncomingUuid(uint64_t peer) const;
  // "host:port" of a member's peer URL; empty if it is not known.
  std::string AddressOf(uint64_t peer) const;

  const PeerIdentity& identity() const { return identity_; }
  // Whether this call comes from a member of this cluster that is to be heard.
  absl::Status CheckSender(const rpc::Call& call) const;
  // What a stream to that member says of this one.
  std::map<std::string, std::string> MetadataFor(uint64_t peer) const;

 private:
  struct Peer {
    uint64_t id = 0;
    PeerPlace address;
    // Of the stream's reports, which come one at a time.
    bool reported = false;
    bool reported_connected = false;
    std::atomic<base::Duration::rep> connected_since{0};
    std::unique_ptr<rpc::SendStream> stream;
  };
  struct Incoming {
    uint64_t from = 0;
    std::string uuid;
    std::weak_ptr<rpc::Stream> stream;
  };
  class Receiver;

  std::shared_ptr<Peer> Open(uint64_t id, const PeerPlace& address);
  void Report(Peer* peer, bool connected, const std::string& why) const;
  void EndUnwantedStreams();
  void Forget(const rpc::Stream* stream);

  const PeerIdentity identity_;
  const base::Clock* const clock_;
  const Hooks hooks_;

  mutable std::shared_mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Peer>> peers_;

  mutable std::mutex incoming_mutex_;
  std::map<const rpc::Stream*, Incoming> incoming_;
};

}  // namespace server
