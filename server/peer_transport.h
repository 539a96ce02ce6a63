// SPDX-License-Identifier: Apache-2.0
//
// peer_transport.h: Raft's messages between members: one stream each way, on the peer URL.
//
// Each stream says in its metadata which cluster it belongs to, who sends and who is meant; a
// receiver that is somebody else refuses it, so that a member that was given another's address
// does no harm.
//
// Threads: any. Errors: what cannot be sent is dropped and logged once for each change.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/node/ports.h"
#include "rpc/grpc_channel.h"
#include "rpc/handler.h"
#include "server/config.h"

namespace server {

class PeerTransport final : public raft::Transport {
 public:
  explicit PeerTransport(const InitialCluster& cluster);
  ~PeerTransport() override;

  // Answers the other members' streams: each message goes to `receive`, which must outlive the
  // registry's transport.
  void Register(rpc::Registry* registry, std::function<void(std::string)> receive);

  // Starts to connect to all other members.
  void Connect();
  // Ends the streams to them. What is sent afterwards is dropped.
  void Disconnect();

  void Send(raft::NodeId to, std::string bytes) override;

 private:
  struct Peer {
    InitialMember member;
    // Read by Report and by nothing else; reports of one stream come one at a time.
    bool reported = false;
    bool reported_connected = false;
    std::unique_ptr<rpc::SendStream> stream;
  };

  std::unique_ptr<rpc::SendStream> OpenStream(Peer* peer) const;
  static void Report(Peer* peer, bool connected, const std::string& why);
  absl::Status CheckSender(const rpc::Call& call) const;

  const InitialCluster cluster_;
  // Filled by the constructor; the streams are there between Connect and Disconnect, which come
  // before the first and after the last Send.
  std::map<uint64_t, Peer> peers_;
};

}  // namespace server
