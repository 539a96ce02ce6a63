// SPDX-License-Identifier: Apache-2.0

#include "client/lease.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/connections.h"

namespace client {
namespace {

// Between attempts when no server answers, so that a lost TTL holds several.
constexpr absl::Duration kRetryPause = absl::Milliseconds(200);
// How long the first keep-alive may take: the TTL is not known before it.
constexpr absl::Duration kFirstAnswer = absl::Seconds(5);

}  // namespace

LeaseKeeper::LeaseKeeper(const Client& client, int64_t id, Options options)
    : client_(client),
      id_(id),
      options_(std::move(options)),
      alive_until_(clock_.Now() + absl::ToChronoNanoseconds(kFirstAnswer)),
      thread_([this] { Run(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::Status LeaseKeeper::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

bool LeaseKeeper::WaitUntilLost(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&lost_), timeout);
}

void LeaseKeeper::Run() {
  while (true) {
    const absl::Duration pause = KeepOnce();
    if (pause == absl::ZeroDuration()) return;
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), pause)) return;
  }
}

absl::Duration LeaseKeeper::KeepOnce() {
  const base::TimePoint sent = clock_.Now();
  const absl::Duration left = absl::FromChrono(alive_until_ - sent);
  if (left <= absl::ZeroDuration()) {
    Lose(absl::DeadlineExceededError("no server has kept the lease alive for a whole TTL"));
    return absl::ZeroDuration();
  }
  const auto answer = client_.LeaseKeepAlive(id_, left);
  if (!answer.ok()) {
    const bool may_pass =
        absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status());
    if (may_pass) return std::min(kRetryPause, left);
    Lose(answer.status());
    return absl::ZeroDuration();
  }
  if (answer->ttl() <= 0) {
    Lose(absl::NotFoundError("etcdserver: requested lease not found"));
    return absl::ZeroDuration();
  }
  // Counted from before it was sent: the server cannot have begun earlier.
  alive_until_ = sent + absl::ToChronoNanoseconds(absl::Seconds(answer->ttl()));
  if (options_.on_kept) options_.on_kept(*answer);
  if (options_.interval > absl::ZeroDuration()) return options_.interval;
  return absl::Seconds(answer->ttl()) / 3;
}

void LeaseKeeper::Lose(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  status_ = std::move(status);
  lost_ = true;
}

Session::Session(const Client& client, int64_t lease)
    : client_(client), lease_(lease), keeper_(std::make_unique<LeaseKeeper>(client, lease)) {}

Session::~Session() { (void)Close(); }

absl::StatusOr<std::unique_ptr<Session>> Session::Open(const Client& client, int64_t ttl_seconds) {
  ASSIGN_OR_RETURN(const auto granted, client.LeaseGrant(ttl_seconds));
  return std::unique_ptr<Session>(new Session(client, granted.id()));
}

absl::Status Session::Close() {
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return absl::OkStatus();
    closed_ = true;
  }
  const absl::Status revoked = client_.LeaseRevoke(lease_).status();
  return absl::IsNotFound(revoked) ? absl::OkStatus() : revoked;
}

absl::StatusOr<HeldLock> Session::Lock(std::string_view name, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const auto answer, client_.Lock(name, lease_, timeout));
  const auto datum = client_.Get(answer.key());
  if (absl::IsNotFound(datum.status())) {
    return absl::AbortedError(
        absl::StrCat("the lock's lease has ended: ", answer.key(), " is gone"));
  }
  if (!datum.ok()) return datum.status();
  return HeldLock{.key = answer.key(), .revision = datum->create_revision()};
}

absl::Status Session::Unlock(const HeldLock& lock) { return client_.Unlock(lock.key).status(); }

absl::StatusOr<v3electionpb::LeaderKey> Session::Campaign(std::string_view name,
                                                          std::string_view value,
                                                          absl::Duration timeout) {
  ASSIGN_OR_RETURN(const auto answer, client_.Campaign(name, lease_, value, timeout));
  return answer.leader();
}

struct ElectionWatcher::Stream {
  explicit Stream(Connections* connections) : road(connections) {}

  StreamRoad road;
  std::shared_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReader<v3electionpb::LeaderResponse>> calls;
};

ElectionWatcher::ElectionWatcher(const Client& client, std::string_view name)
    : stream_(std::make_unique<Stream>(client.connections_.get())), name_(name) {}

ElectionWatcher::~ElectionWatcher() {
  Stop();
  if (stream_->calls != nullptr) stream_->calls->Finish();
}

absl::StatusOr<v3electionpb::LeaderResponse> ElectionWatcher::Next() {
  while (true) {
    if (stream_->calls == nullptr) {
      auto context = std::make_shared<grpc::ClientContext>();
      ASSIGN_OR_RETURN(const Endpoint* endpoint, stream_->road.Next(context));
      v3electionpb::LeaderRequest request;
      request.set_name(name_);
      stream_->context = context;
      stream_->calls = endpoint->election->Observe(context.get(), request);
    }
    v3electionpb::LeaderResponse answer;
    if (!stream_->calls->Read(&answer)) {
      const absl::Status status = StatusOf(stream_->calls->Finish());
      stream_->calls.reset();
      if (stream_->road.stopped()) return absl::CancelledError("stopped by the caller");
      if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsCancelled(status)) {
        return status;
      }
      continue;
    }
    stream_->road.Arrived();
    // A new stream begins with what stands, which may have been told before.
    if (answer.kv().mod_revision() <= seen_revision_) continue;
    seen_revision_ = answer.kv().mod_revision();
    return answer;
  }
}

void ElectionWatcher::Stop() { stream_->road.Stop(); }

}  // namespace client
