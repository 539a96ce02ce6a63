// SPDX-License-Identifier: Apache-2.0

#include "server/introduce_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "rpc/typed.h"
#include "server/introducer.h"

namespace server {
namespace {

// Less than who asks waits.
constexpr base::Duration kDecisionTimeout = std::chrono::seconds(5);

}  // namespace

void IntroduceService::Register(rpc::Registry* registry) const {
  registry->AddUnary(
      kIntroduceMethod,
      rpc::TypedUnary<Request>([this](const rpc::Call& call, Request request, rpc::UnaryDone done) {
        Introduce(call, std::move(request), std::move(done));
      }));
}

IntroduceService::Response IntroduceService::Base() const {
  const raft::NodeStatus node = replica_->status();
  Response response;
  const bool promised_nothing = node.term == raft::Term{} && node.last_index == raft::Index{};
  response.set_state(promised_nothing ? Response::FOUNDING : Response::LIVING);
  response.set_data_dir_uuid(peers_->identity().data_dir_uuid);
  response.set_answerer(peers_->identity().self);
  response.set_cluster_id(peers_->identity().cluster_id);
  return response;
}

// A member that has heard nothing since the founding does not know whether the others have begun
// without it.
IntroduceService::Response IntroduceService::Found(const Request& request) const {
  Response response = Base();
  const std::string why = WhyNotFoundWith(options_.founders, request);
  if (why.empty()) return response;
  response.set_outcome(Response::REFUSED);
  response.set_why(why);
  return response;
}

IntroduceService::Response IntroduceService::Undecided(const std::string& why) const {
  Response response = Base();
  response.set_why(why);
  return response;
}

IntroduceService::Response IntroduceService::Bound(uint64_t member_id,
                                                   Response::Outcome outcome) const {
  const raft::NodeStatus node = replica_->status();
  // Who asks will have voted for this leader in this term, and for nobody else.
  if (node.leader != node.self) return Undecided("the leader changes");
  Response response = Base();
  response.set_outcome(outcome);
  response.set_member_id(member_id);
  response.set_leader(node.self.value());
  response.set_term(node.term.value());
  for (const auto& [id, member] : state_->membership().members) {
    datum::peer::KnownMember* known = response.add_members();
    known->set_id(id);
    known->set_name(member.name);
    for (const std::string& url : member.peer_urls) known->add_peer_urls(url);
  }
  return response;
}

void IntroduceService::Introduce(const rpc::Call&, Request request, rpc::UnaryDone done) const {
  const raft::NodeStatus node = replica_->status();
  const Response base = Base();
  if (base.state() == Response::FOUNDING) return rpc::Reply(done, absl::OkStatus(), Found(request));
  if (node.leader == raft::kNobody) {
    return rpc::Reply(done, absl::OkStatus(),
                      Undecided(absl::StrCat("the cluster lives but has no leader: it takes a "
                                             "quorum of its members to say who this is",
                                             HelpWithoutLeader(state_->membership(), request))));
  }
  if (node.leader == node.self) {
    return Decide(std::make_shared<const Request>(std::move(request)), std::move(done));
  }
  if (request.forwarded()) {
    return rpc::Reply(done, absl::OkStatus(), Undecided("the leader changes"));
  }
  Forward(node.leader, std::move(request), std::move(done));
}

rpc::UnaryClient* IntroduceService::ClientOf(const std::string& address) const {
  std::lock_guard lock(mutex_);
  std::unique_ptr<rpc::UnaryClient>& client = clients_[address];
  if (client == nullptr) client = std::make_unique<rpc::UnaryClient>(address);
  return client.get();
}

void IntroduceService::Forward(raft::NodeId leader, Request request, rpc::UnaryDone done) const {
  request.set_forwarded(true);
  const std::string address = peers_->AddressOf(leader.value());
  if (address.empty()) {
    return rpc::Reply(done, absl::OkStatus(), Undecided("the leader is not known here yet"));
  }
  ClientOf(address)->Call(kIntroduceMethod, request.SerializeAsString(), kDecisionTimeout,
                          [this, done](absl::StatusOr<std::string> answer) {
                            if (answer.ok()) return done(absl::OkStatus(), *std::move(answer));
                            rpc::Reply(
                                done, absl::OkStatus(),
                                Undecided(absl::StrCat("the leader does not answer: ",
                                                       std::string(answer.status().message()))));
                          });
}

void IntroduceService::Decide(std::shared_ptr<const Request> request, rpc::UnaryDone done) const {
  // Written by the plan, read once that has been carried out.
  auto decision = std::make_shared<LeaderDecision>();
  using Kind = LeaderDecision::Kind;
  Plan plan = [this, request, decision](const Membership& now) -> absl::StatusOr<PlannedChange> {
    LeaderView view;
    view.cluster_id = peers_->identity().cluster_id;
    view.cluster_token = options_.cluster_token;
    view.membership = now;
    view.replaces = options_.replace_wiped_members;
    view.connected = [this](uint64_t id) {
      return id == peers_->identity().self || peers_->ConnectedSince(id).has_value();
    };
    *decision = DecideIntroduction(view, *request);
    switch (decision->kind) {
      case Kind::kBind:
        return PlanBind(now, decision->member_id, request->data_dir_uuid());
      case Kind::kReplace:
        return PlanReplace(now, decision->member_id, decision->by);
      case Kind::kAlreadyBound:
      case Kind::kRefuse:
        break;
    }
    return absl::CancelledError("nothing is to be changed");
  };
  changer_->Change(
      clock_->Now() + kDecisionTimeout, std::move(plan),
      [this, request, decision, done = std::move(done)](absl::Status status, const std::string&) {
        if (decision->kind == Kind::kRefuse && !decision->why.empty()) {
          Response refused = Base();
          refused.set_outcome(Response::REFUSED);
          refused.set_why(decision->why);
          return rpc::Reply(done, absl::OkStatus(), refused);
        }
        if (!status.ok() && decision->kind != Kind::kAlreadyBound) {
          return rpc::Reply(done, absl::OkStatus(), Undecided(std::string(status.message())));
        }
        const bool replaced = decision->kind == Kind::kReplace;
        const uint64_t id = replaced ? decision->by.id : decision->member_id;
        LOG(INFO) << request->name() << " starts with an empty data directory and is member "
                  << absl::StrCat(absl::Hex(id))
                  << (replaced ? absl::StrCat(", a learner in the place of ",
                                              absl::Hex(decision->member_id),
                                              ", whose directory is lost")
                               : std::string());
        rpc::Reply(done, absl::OkStatus(),
                   Bound(id, replaced ? Response::REPLACED : Response::BOUND));
      });
}

}  // namespace server
