// SPDX-License-Identifier: Apache-2.0

#include "server/election_service.h"

#include <utility>

#include "rpc/typed.h"
#include "server/answer_room.h"
#include "server/election_observer.h"
#include "server/errors.h"

namespace server {
namespace {

absl::Status NoLeaderNamed() { return absl::UnknownError("\"leader\" field must be provided"); }
absl::Status NotLeading() { return absl::UnknownError("election: not leader"); }

etcdserverpb::RequestOp PutOf(const std::string& key, const std::string& value, int64_t lease) {
  etcdserverpb::RequestOp operation;
  auto* put = operation.mutable_request_put();
  put->set_key(key);
  put->set_value(value);
  put->set_lease(lease);
  return operation;
}

}  // namespace

void ElectionService::Register(rpc::Registry* registry) const {
  const auto add = [&](const char* method, rpc::UnaryHandler handler) {
    registry->AddUnary(std::string("/v3electionpb.Election/") + method, std::move(handler));
  };
  add("Campaign", rpc::TypedUnary<v3electionpb::CampaignRequest>(
                      [this](const rpc::Call& call, const v3electionpb::CampaignRequest& request,
                             rpc::UnaryDone done) { Campaign(call, request, std::move(done)); }));
  add("Proclaim", rpc::TypedUnary<v3electionpb::ProclaimRequest>(
                      [this](const rpc::Call& call, const v3electionpb::ProclaimRequest& request,
                             rpc::UnaryDone done) { Proclaim(call, request, std::move(done)); }));
  add("Leader",
      BoundedRead(memory_, &turns_->gate(),
                  rpc::TypedUnary<v3electionpb::LeaderRequest>(
                      [this](const rpc::Call& call, const v3electionpb::LeaderRequest& request,
                             rpc::UnaryDone done) { Leader(call, request, std::move(done)); })));
  add("Resign", rpc::TypedUnary<v3electionpb::ResignRequest>(
                    [this](const rpc::Call& call, const v3electionpb::ResignRequest& request,
                           rpc::UnaryDone done) { Resign(call, request, std::move(done)); }));
  registry->AddStream("/v3electionpb.Election/Observe",
                      [this](std::shared_ptr<rpc::Stream> stream) {
                        return std::make_unique<ElectionObserver>(turns_, std::move(stream));
                      });
}

void ElectionService::Campaign(const rpc::Call& call, const v3electionpb::CampaignRequest& request,
                               rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  turns_->Enter(
      call, request.name(), request.lease(), request.value(),
      [this, &call, name = request.name(), value = request.value(),
       done = std::move(done)](absl::StatusOr<Turns::Place> entered) {
        if (!entered.ok()) return done(entered.status(), "");
        const Turns::Place place = *std::move(entered);
        if (place.value == value) return AwaitLead(call, name, place, done);
        // The session campaigns already, and now has something else to say.
        turns_->Run(
            call,
            IfCreatedAt(place.key, place.create_revision, PutOf(place.key, value, place.lease)),
            [this, &call, name, place, done](absl::StatusOr<etcdserverpb::TxnResponse> said) {
              if (said.ok() && said->succeeded()) return AwaitLead(call, name, place, done);
              turns_->Leave(place);
              done(said.ok() ? NotLeading() : said.status(), "");
            });
      });
}

void ElectionService::AwaitLead(const rpc::Call& call, const std::string& name,
                                const Turns::Place& place, rpc::UnaryDone done) const {
  turns_->Await(call, place, [name, place, done = std::move(done)](absl::Status turn) {
    if (!turn.ok()) return done(turn, "");
    v3electionpb::CampaignResponse response;
    *response.mutable_header() = place.header;
    response.mutable_leader()->set_name(name);
    response.mutable_leader()->set_key(place.key);
    response.mutable_leader()->set_rev(place.create_revision);
    response.mutable_leader()->set_lease(place.lease);
    rpc::Reply(done, absl::OkStatus(), response);
  });
}

void ElectionService::Proclaim(const rpc::Call& call, const v3electionpb::ProclaimRequest& request,
                               rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  if (!request.has_leader()) return done(NoLeaderNamed(), "");
  const v3electionpb::LeaderKey& leader = request.leader();
  turns_->Run(
      call,
      IfCreatedAt(leader.key(), leader.rev(), PutOf(leader.key(), request.value(), leader.lease())),
      [done = std::move(done)](const absl::StatusOr<etcdserverpb::TxnResponse>& said) {
        if (!said.ok()) return done(said.status(), "");
        if (!said->succeeded()) return done(NotLeading(), "");
        v3electionpb::ProclaimResponse response;
        *response.mutable_header() = said->header();
        rpc::Reply(done, absl::OkStatus(), response);
      });
}

void ElectionService::Leader(const rpc::Call& call, const v3electionpb::LeaderRequest& request,
                             rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  turns_->Read(call, FirstCreatedUnder(request.name() + "/"),
               [done = std::move(done)](absl::StatusOr<etcdserverpb::RangeResponse> found) {
                 if (!found.ok()) return done(found.status(), "");
                 if (found->kvs_size() == 0) {
                   return done(absl::UnknownError("election: no leader"), "");
                 }
                 v3electionpb::LeaderResponse response;
                 *response.mutable_header() = found->header();
                 response.mutable_kv()->Swap(found->mutable_kvs(0));
                 rpc::Reply(done, absl::OkStatus(), response);
               });
}

void ElectionService::Resign(const rpc::Call& call, const v3electionpb::ResignRequest& request,
                             rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  if (!request.has_leader()) return done(NoLeaderNamed(), "");
  etcdserverpb::RequestOp remove;
  remove.mutable_request_delete_range()->set_key(request.leader().key());
  turns_->Run(call, IfCreatedAt(request.leader().key(), request.leader().rev(), remove),
              [done = std::move(done)](const absl::StatusOr<etcdserverpb::TxnResponse>& gone) {
                if (!gone.ok()) return done(gone.status(), "");
                v3electionpb::ResignResponse response;
                *response.mutable_header() = gone->header();
                rpc::Reply(done, absl::OkStatus(), response);
              });
}

}  // namespace server
