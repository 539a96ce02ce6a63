// SPDX-License-Identifier: Apache-2.0
//
// introduce_service.h: answers who starts with an empty data directory (introduction.h): by the
// leader, to whom every other member passes it on.
//
// Threads: any.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "proto/peer.pb.h"
#include "rpc/grpc_unary.h"
#include "rpc/handler.h"
#include "server/configuration_changer.h"
#include "server/introduction.h"
#include "server/parts.h"
#include "server/peer_transport.h"

namespace server {

struct IntroduceOptions {
  std::string cluster_token;
  bool replace_wiped_members = true;
  // With whom this member founded; empty if it joined.
  std::vector<Member> founders;
};

class IntroduceService {
 public:
  // All must outlive the registry's transport.
  IntroduceService(Replica* replica, const State* state, const ConfigurationChanger* changer,
                   const PeerTransport* peers, const base::Clock* clock, IntroduceOptions options)
      : replica_(replica),
        state_(state),
        changer_(changer),
        peers_(peers),
        clock_(clock),
        options_(std::move(options)) {}

  void Register(rpc::Registry* registry) const;

 private:
  using Request = datum::peer::IntroduceRequest;
  using Response = datum::peer::IntroduceResponse;

  void Introduce(const rpc::Call& call, Request request, rpc::UnaryDone done) const;
  void Forward(raft::NodeId leader, Request request, rpc::UnaryDone done) const;
  void Decide(std::shared_ptr<const Request> request, rpc::UnaryDone done) const;
  rpc::UnaryClient* ClientOf(const std::string& address) const;
  Response Base() const;
  Response Found(const datum::peer::IntroduceRequest& request) const;
  Response Undecided(const std::string& why) const;
  Response Bound(uint64_t member_id, Response::Outcome outcome) const;

  Replica* const replica_;
  const State* const state_;
  const ConfigurationChanger* const changer_;
  const PeerTransport* const peers_;
  const base::Clock* const clock_;
  const IntroduceOptions options_;

  mutable std::mutex mutex_;
  // Guarded by mutex_; they stay: a leader comes back.
  mutable std::map<std::string, std::unique_ptr<rpc::UnaryClient>> clients_;
};

}  // namespace server
