// SPDX-License-Identifier: Apache-2.0
//
// election_service.h: v3electionpb.Election: who leads is the first place in a queue (turns.h), and
// what it proclaims is the value of its key.

#pragma once

#include <memory>

#include "proto/etcd/v3election.pb.h"
#include "rpc/handler.h"
#include "server/answer_memory.h"
#include "server/turns.h"

namespace server {

class ElectionService {
 public:
  // Both must outlive the registry's transport.
  ElectionService(const Turns* turns, AnswerMemory* memory) : turns_(turns), memory_(memory) {}

  void Register(rpc::Registry* registry) const;

 private:
  void Campaign(const rpc::Call& call, const v3electionpb::CampaignRequest& request,
                rpc::UnaryDone done) const;
  void AwaitLead(const rpc::Call& call, const std::string& name, const Turns::Place& place,
                 rpc::UnaryDone done) const;
  void Proclaim(const rpc::Call& call, const v3electionpb::ProclaimRequest& request,
                rpc::UnaryDone done) const;
  void Leader(const rpc::Call& call, const v3electionpb::LeaderRequest& request,
              rpc::UnaryDone done) const;
  void Resign(const rpc::Call& call, const v3electionpb::ResignRequest& request,
              rpc::UnaryDone done) const;

  const Turns* const turns_;
  AnswerMemory* const memory_;
};

}  // namespace server
