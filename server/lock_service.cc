// SPDX-License-Identifier: Apache-2.0

#include "server/lock_service.h"

#include <utility>

#include "rpc/typed.h"
#include "server/errors.h"

namespace server {
namespace {

void Answer(const rpc::UnaryDone& done, const Turns::Place& place,
            const etcdserverpb::ResponseHeader& header) {
  v3lockpb::LockResponse response;
  *response.mutable_header() = header;
  response.set_key(place.key);
  rpc::Reply(done, absl::OkStatus(), response);
}

}  // namespace

void LockService::Register(rpc::Registry* registry) const {
  registry->AddUnary("/v3lockpb.Lock/Lock",
                     rpc::TypedUnary<v3lockpb::LockRequest>(
                         [this](const rpc::Call& call, const v3lockpb::LockRequest& request,
                                rpc::UnaryDone done) { Lock(call, request, std::move(done)); }));
  registry->AddUnary("/v3lockpb.Lock/Unlock",
                     rpc::TypedUnary<v3lockpb::UnlockRequest>(
                         [this](const rpc::Call& call, const v3lockpb::UnlockRequest& request,
                                rpc::UnaryDone done) { Unlock(call, request, std::move(done)); }));
}

void LockService::Lock(const rpc::Call& call, const v3lockpb::LockRequest& request,
                       rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  turns_->Enter(call, request.name(), request.lease(), "",
                [this, &call, done = std::move(done)](absl::StatusOr<Turns::Place> entered) {
                  if (!entered.ok()) return done(entered.status(), "");
                  const Turns::Place place = *std::move(entered);
                  if (place.is_first) return Answer(done, place, place.header);
                  turns_->Await(call, place, [this, &call, place, done](absl::Status turn) {
                    if (!turn.ok()) return done(turn, "");
                    Confirm(call, place, done);
                  });
                });
}

void LockService::Confirm(const rpc::Call& call, Turns::Place place, rpc::UnaryDone done) const {
  etcdserverpb::RangeRequest own;
  own.set_key(place.key);
  turns_->Read(call, own,
               [this, &call, place = std::move(place),
                done = std::move(done)](absl::StatusOr<etcdserverpb::RangeResponse> found) {
                 if (found.ok() && found->kvs_size() == 0) {
                   return done(absl::UnknownError("mutex: session is expired"), "");
                 }
                 if (found.ok() && !call.cancelled()) return Answer(done, place, found->header());
                 // A lock that nobody knows of would be held for as long as its lease lives.
                 turns_->Leave(place);
                 done(found.ok() ? absl::CancelledError("context canceled") : found.status(), "");
               });
}

void LockService::Unlock(const rpc::Call& call, const v3lockpb::UnlockRequest& request,
                         rpc::UnaryDone done) const {
  const absl::Status served = turns_->gate().CheckServed();
  if (!served.ok()) return done(served, "");
  if (request.key().empty()) {
    return done(AsUnknown(ErrorStatus(WireError::kEmptyKey)), "");
  }
  etcdserverpb::InternalRaftRequest command;
  command.mutable_delete_range()->set_key(request.key());
  turns_->gate().Publish(
      call, command, [done = std::move(done)](absl::Status status, std::string bytes) {
        if (!status.ok()) return done(AsUnknown(status), "");
        const auto deleted = rpc::Decode<etcdserverpb::DeleteRangeResponse>(bytes);
        if (!deleted.ok()) return done(deleted.status(), "");
        v3lockpb::UnlockResponse response;
        *response.mutable_header() = deleted->header();
        rpc::Reply(done, absl::OkStatus(), response);
      });
}

}  // namespace server
