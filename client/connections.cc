// SPDX-License-Identifier: Apache-2.0

#include "client/connections.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace client {
namespace {

// Sent by a learner before it looks at the request (etcd-errors: clients try another endpoint).
constexpr absl::string_view kLearnerRefuses = "etcdserver: rpc not supported for learner";

absl::StatusOr<std::string> GrpcTarget(const std::string& endpoint) {
  absl::string_view target = endpoint;
  if (absl::StartsWith(target, "https://") || absl::StartsWith(target, "unixs:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoint ", endpoint, ": this client does not speak TLS yet"));
  }
  if (absl::StartsWith(target, "unix:")) return endpoint;
  absl::ConsumePrefix(&target, "http://");
  absl::ConsumeSuffix(&target, "/");
  if (target.empty() || target.find('/') != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoint '", endpoint, "' is not host:port, http://host:port or unix:/path"));
  }
  return std::string(target);
}

grpc::ChannelArguments ArgumentsOf(const Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(static_cast<int>(options.request_bytes_max));
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.response_bytes_max));
  const int pause_longest_ms = static_cast<int>(absl::ToInt64Milliseconds(options.pause_longest));
  const int dial_timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(options.dial_timeout));
  // gRPC's own pauses grow to two minutes; ours rule.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, std::min(100, pause_longest_ms));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, pause_longest_ms);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, dial_timeout_ms);
  // gRPC may send a call again by itself when it believes it unseen; only we decide on that.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  if (options.keepalive_time > absl::ZeroDuration()) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                     static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                     static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  }
  return arguments;
}

// gRPC takes deadlines in calendar time.
auto WallTimeAfter(base::Duration duration) {
  return absl::ToChronoTime(absl::Now() + absl::FromChrono(duration));
}

void SetDeadline(base::TimePoint now, base::TimePoint deadline, grpc::ClientContext* context) {
  if (deadline != base::kForever) context->set_deadline(WallTimeAfter(deadline - now));
}

}  // namespace

absl::Status StatusOf(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

Connections::Connections(Options options)
    : options_(std::move(options)), random_(base::EntropySeed()) {}

absl::Status Connections::Open() {
  const grpc::ChannelArguments arguments = ArgumentsOf(options_);
  for (const std::string& name : options_.endpoints) {
    const absl::StatusOr<std::string> target = GrpcTarget(name);
    if (!target.ok()) return target.status();
    auto channel =
        grpc::CreateCustomChannel(*target, grpc::InsecureChannelCredentials(), arguments);
    Endpoint endpoint;
    endpoint.name = name;
    endpoint.kv = etcdserverpb::KV::NewStub(channel);
    endpoint.watch = etcdserverpb::Watch::NewStub(channel);
    endpoint.lease = etcdserverpb::Lease::NewStub(channel);
    endpoint.cluster = etcdserverpb::Cluster::NewStub(channel);
    endpoint.maintenance = etcdserverpb::Maintenance::NewStub(channel);
    endpoint.lock = v3lockpb::Lock::NewStub(channel);
    endpoint.election = v3electionpb::Election::NewStub(channel);
    endpoint.channel = std::move(channel);
    endpoints_.push_back(std::move(endpoint));
  }
  return absl::OkStatus();
}

absl::Status Connections::Run(Repeat repeat, absl::Duration timeout, const Attempt& attempt) {
  const base::TimePoint deadline = DeadlineAfter(timeout);
  absl::Status last;
  for (int round = 0; repeat == Repeat::kPatiently || round < options_.rounds_max; ++round) {
    if (round > 0 && !PauseBefore(round, deadline)) break;
    const size_t first = preferred();
    for (size_t i = 0; i < endpoints_.size(); ++i) {
      const size_t place = (first + i) % endpoints_.size();
      bool elsewhere = false;
      last = TryOne(endpoints_[place], repeat, deadline, attempt, &elsewhere);
      if (!elsewhere) {
        if (last.ok()) preferred_.store(place, std::memory_order_relaxed);
        return last;
      }
      preferred_.store((place + 1) % endpoints_.size(), std::memory_order_relaxed);
    }
  }
  return last;
}

absl::Status Connections::RunOn(std::string_view name, absl::Duration timeout,
                                const Attempt& attempt) {
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.name != name) continue;
    const base::TimePoint deadline = DeadlineAfter(timeout);
    const absl::Status connected = Connect(endpoint, deadline);
    if (!connected.ok()) return connected;
    grpc::ClientContext context;
    SetDeadline(clock_.Now(), deadline, &context);
    return StatusOf(attempt(endpoint, &context));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(name), "' is not an endpoint of ours"));
}

absl::Status Connections::TryOne(const Endpoint& endpoint, Repeat repeat, base::TimePoint deadline,
                                 const Attempt& attempt, bool* elsewhere) {
  const absl::Status connected = Connect(endpoint, deadline);
  if (!connected.ok()) {
    *elsewhere = clock_.Now() < deadline;
    return connected;
  }
  base::TimePoint attempt_deadline = deadline;
  if (repeat == Repeat::kFreely && endpoints_.size() > 1) {
    attempt_deadline =
        std::min(deadline, clock_.Now() + absl::ToChronoNanoseconds(options_.read_attempt_timeout));
  }
  grpc::ClientContext context;
  SetDeadline(clock_.Now(), attempt_deadline, &context);
  const absl::Status status = StatusOf(attempt(endpoint, &context));
  const bool time_left = clock_.Now() < deadline;
  if (repeat != Repeat::kOnlyUnsent) {
    *elsewhere = time_left && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
  }
  if (absl::IsFailedPrecondition(status) && status.message() == kLearnerRefuses) {
    *elsewhere = time_left;
  }
  return status;
}

absl::Status Connections::Connect(const Endpoint& endpoint, base::TimePoint deadline) const {
  const base::TimePoint give_up =
      std::min(deadline, clock_.Now() + absl::ToChronoNanoseconds(options_.dial_timeout));
  while (true) {
    const grpc_connectivity_state state = endpoint.channel->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      return absl::UnavailableError(absl::StrCat("cannot connect to ", endpoint.name));
    }
    if (!endpoint.channel->WaitForStateChange(state, WallTimeAfter(give_up - clock_.Now()))) {
      if (give_up < deadline) {
        return absl::UnavailableError(absl::StrCat("no connection to ", endpoint.name, " within ",
                                                   absl::FormatDuration(options_.dial_timeout)));
      }
      return absl::DeadlineExceededError(
          absl::StrCat("no connection to ", endpoint.name, " before the deadline"));
    }
  }
}

absl::Duration Connections::PauseOfRound(int round) {
  // Beyond so many doublings every pause is the longest.
  const int doublings = std::min(round - 1, 30);
  const absl::Duration longest =
      std::min(options_.pause_longest, options_.pause_first * (int64_t{1} << doublings));
  absl::MutexLock lock(&random_mutex_);
  return longest / 2 + absl::Nanoseconds(static_cast<int64_t>(random_.Below(
                           static_cast<uint64_t>(absl::ToInt64Nanoseconds(longest / 2)) + 1)));
}

bool Connections::PauseBefore(int round, base::TimePoint deadline) {
  const absl::Duration pause = PauseOfRound(round);
  if (clock_.Now() + absl::ToChronoNanoseconds(pause) >= deadline) return false;
  absl::SleepFor(pause);
  return true;
}

base::TimePoint Connections::DeadlineAfter(absl::Duration timeout) const {
  if (timeout == absl::InfiniteDuration()) return base::kForever;
  return clock_.Now() + absl::ToChronoNanoseconds(timeout);
}

absl::StatusOr<const Endpoint*> StreamRoad::Next(std::shared_ptr<grpc::ClientContext> context) {
  const std::vector<Endpoint>& endpoints = connections_.endpoints();
  while (true) {
    if (failures_ > 0 && failures_ % endpoints.size() == 0) {
      const absl::Duration pause =
          connections_.PauseOfRound(static_cast<int>(failures_ / endpoints.size()));
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopped_), pause);
    }
    if (stopped()) return absl::CancelledError("stopped by the caller");
    const Endpoint& endpoint = endpoints[place_];
    place_ = (place_ + 1) % endpoints.size();
    ++failures_;
    const base::TimePoint give_up =
        clock_.Now() + absl::ToChronoNanoseconds(connections_.options().dial_timeout);
    if (!connections_.Connect(endpoint, give_up).ok()) continue;
    absl::MutexLock lock(&mutex_);
    if (stopped_) return absl::CancelledError("stopped by the caller");
    context_ = std::move(context);
    return &endpoint;
  }
}

void StreamRoad::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool StreamRoad::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_;
}

}  // namespace client
