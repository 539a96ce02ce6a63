// SPDX-License-Identifier: Apache-2.0

#include "server/lease_service.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

#include "rpc/typed.h"
#include "server/answer_room.h"
#include "server/errors.h"

namespace server {
namespace {

using etcdserverpb::InternalRaftRequest;

constexpr int64_t kEtcdsLeaseTtlMin = 2;
// On one stream: keep-alives that have no answer, and bytes of answers that the client leaves
// unread. Whoever has more leases than this uses more streams.
constexpr size_t kUnansweredMax = 65'536;
constexpr size_t kUnreadBytesMax = 8 << 20;

}  // namespace

int64_t LeaseTtlMin(base::Duration election_timeout) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(election_timeout * 3 / 2);
  return std::max<int64_t>(kEtcdsLeaseTtlMin, seconds.count());
}

// One stream of keep-alives. Answers come from other threads, some after the stream's end.
class LeaseService::KeepAlives final : public rpc::StreamHandler {
 public:
  KeepAlives(const LeaseService* service, std::shared_ptr<rpc::Stream> stream)
      : service_(service), shared_(std::make_shared<Shared>()) {
    shared_->stream = std::move(stream);
  }

  void OnMessage(std::string bytes) override {
    const auto request = rpc::Decode<etcdserverpb::LeaseKeepAliveRequest>(bytes);
    if (!request.ok()) return shared_->stream->Abort(request.status());
    const Gate& gate = *service_->gate_;
    absl::Status served = gate.CheckServed();
    if (served.ok()) served = gate.CheckLeaderWanted(*shared_->stream);
    if (!served.ok()) return shared_->stream->Finish(served);
    if (!shared_->Began()) return shared_->stream->Abort(ErrorStatus(WireError::kTooManyRequests));
    const int64_t lease = request->id();
    service_->leases_->KeepAlive(
        lease, gate.Now() + gate.options().request_timeout,
        [service = service_, shared = shared_, lease](absl::StatusOr<int64_t> ttl) {
          if (!ttl.ok()) {
            shared->stream->Finish(ttl.status());
          } else {
            service->Answer(lease, *ttl, shared->stream.get());
          }
          shared->Ended();
        });
  }
  void OnHalfClose() override { shared_->HalfClosed(); }

 private:
  struct Shared {
    // False if too many have no answer.
    bool Began() {
      std::lock_guard lock(mutex);
      if (unanswered >= kUnansweredMax) return false;
      ++unanswered;
      return true;
    }
    void Ended() {
      bool last;
      {
        std::lock_guard lock(mutex);
        last = --unanswered == 0 && half_closed;
      }
      if (last) stream->Finish(absl::OkStatus());
    }
    void HalfClosed() {
      bool last;
      {
        std::lock_guard lock(mutex);
        half_closed = true;
        last = unanswered == 0;
      }
      if (last) stream->Finish(absl::OkStatus());
    }

    std::shared_ptr<rpc::Stream> stream;
    std::mutex mutex;
    size_t unanswered = 0;
    bool half_closed = false;
  };

  const LeaseService* const service_;
  const std::shared_ptr<Shared> shared_;
};

void LeaseService::Answer(int64_t lease, int64_t ttl, rpc::Stream* stream) const {
  etcdserverpb::LeaseKeepAliveResponse response;
  FillHeader(response.mutable_header());
  response.set_id(lease);
  response.set_ttl(ttl);
  if (stream->Write(response.SerializeAsString()) > kUnreadBytesMax) {
    stream->Abort(ErrorStatus(WireError::kTooManyRequests));
  }
}

void LeaseService::Register(rpc::Registry* registry) const {
  const auto add = [&](const char* method, rpc::UnaryHandler handler) {
    registry->AddUnary(std::string("/etcdserverpb.Lease/") + method, std::move(handler));
  };
  add("LeaseGrant", rpc::TypedUnary<etcdserverpb::LeaseGrantRequest>(
                        [this](const rpc::Call& call, etcdserverpb::LeaseGrantRequest request,
                               rpc::UnaryDone done) { Grant(call, request, std::move(done)); }));
  add("LeaseRevoke",
      rpc::TypedUnary<etcdserverpb::LeaseRevokeRequest>(
          [this](const rpc::Call& call, const etcdserverpb::LeaseRevokeRequest& request,
                 rpc::UnaryDone done) { Revoke(call, request, std::move(done)); }));
  const auto add_read = [&](const char* method, rpc::UnaryHandler read) {
    add(method, BoundedRead(memory_, gate_, std::move(read)));
  };
  add_read("LeaseTimeToLive",
           rpc::TypedUnary<etcdserverpb::LeaseTimeToLiveRequest>(
               [this](const rpc::Call& call, const etcdserverpb::LeaseTimeToLiveRequest& request,
                      rpc::UnaryDone done) { TimeToLive(call, request, std::move(done)); }));
  add_read("LeaseLeases", rpc::TypedUnary<etcdserverpb::LeaseLeasesRequest>(
                              [this](const rpc::Call& call, const etcdserverpb::LeaseLeasesRequest&,
                                     rpc::UnaryDone done) { Leases(call, std::move(done)); }));
  registry->AddStream("/etcdserverpb.Lease/LeaseKeepAlive",
                      [this](std::shared_ptr<rpc::Stream> stream) {
                        return std::make_unique<KeepAlives>(this, std::move(stream));
                      });
}

void LeaseService::FillHeader(etcdserverpb::ResponseHeader* header) const {
  gate_->FillHeader(header);
  header->set_revision(state_->revision());
}

void LeaseService::Grant(const rpc::Call& call, etcdserverpb::LeaseGrantRequest request,
                         rpc::UnaryDone done) const {
  const int64_t ttl_min = LeaseTtlMin(gate_->options().election_timeout);
  // Before it is in the log: what a member's flags say must not show in what is applied.
  request.set_ttl(std::max(request.ttl(), ttl_min));
  if (request.id() != 0) {
    InternalRaftRequest command;
    *command.mutable_lease_grant() = request;
    return space_->Publish(call, command, std::move(done));
  }
  GrantAny(call, request.ttl(), std::move(done));
}

void LeaseService::PickAndGrant(const rpc::Call& call, int64_t ttl, int picks,
                                rpc::UnaryDone done) const {
  const uint64_t id = salt_() & std::numeric_limits<int64_t>::max();
  InternalRaftRequest command;
  command.mutable_lease_grant()->set_ttl(ttl);
  command.mutable_lease_grant()->set_id(id == 0 ? 1 : static_cast<int64_t>(id));
  // The call lives until `done` is called.
  space_->Publish(
      call, command,
      [this, &call, ttl, picks, done = std::move(done)](absl::Status status, std::string bytes) {
        const bool taken = status == ErrorStatus(WireError::kLeaseExists);
        if (!taken || picks == 0) return done(std::move(status), std::move(bytes));
        PickAndGrant(call, ttl, picks - 1, done);
      });
}

void LeaseService::Revoke(const rpc::Call& call, const etcdserverpb::LeaseRevokeRequest& request,
                          rpc::UnaryDone done) const {
  InternalRaftRequest command;
  *command.mutable_lease_revoke() = request;
  gate_->Publish(call, command, std::move(done));
}

void LeaseService::TimeToLive(const rpc::Call& call,
                              const etcdserverpb::LeaseTimeToLiveRequest& request,
                              rpc::UnaryDone done) const {
  absl::Status served = gate_->CheckServed();
  if (served.ok()) served = gate_->CheckLeaderWanted(call);
  if (!served.ok()) return done(served, "");
  const int64_t lease = request.id();
  leases_->TimeToLive(lease, request.keys(), gate_->DeadlineOf(call),
                      [this, lease, done = std::move(done)](
                          const absl::StatusOr<datum::peer::LeaseTimeToLiveAnswer>& answer) {
                        if (!answer.ok()) return done(answer.status(), "");
                        etcdserverpb::LeaseTimeToLiveResponse response;
                        FillHeader(response.mutable_header());
                        response.set_id(lease);
                        response.set_ttl(answer->found() ? answer->ttl() : -1);
                        response.set_grantedttl(answer->granted_ttl());
                        for (const std::string& key : answer->keys()) response.add_keys(key);
                        rpc::Reply(done, absl::OkStatus(), response);
                      });
}

void LeaseService::Leases(const rpc::Call& call, rpc::UnaryDone done) const {
  gate_->Read(call, /*serializable=*/false, [this, done = std::move(done)](absl::Status ready) {
    if (!ready.ok()) return done(ready, "");
    const auto leases = state_->Leases();
    if (!leases.ok()) return done(FromStore(leases.status()), "");
    etcdserverpb::LeaseLeasesResponse response;
    FillHeader(response.mutable_header());
    for (const int64_t lease : *leases) response.add_leases()->set_id(lease);
    rpc::Reply(done, absl::OkStatus(), response);
  });
}

}  // namespace server
