// SPDX-License-Identifier: Apache-2.0

#include "client/client.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "base/time.h"
#include "grpcpp/grpcpp.h"
#include "proto/etcd/rpc.grpc.pb.h"

namespace client {
namespace {

// Sent by a learner before it looks at the request (etcd-errors: clients try another endpoint).
constexpr absl::string_view kLearnerRefuses = "etcdserver: rpc not supported for learner";

enum class Repeat {
  kFreely,      // reads
  kOnlyUnsent,  // writes
};

struct Endpoint {
  std::string name;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Cluster::Stub> cluster;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
};

// One attempt on one endpoint.
using Attempt = std::function<grpc::Status(const Endpoint&, grpc::ClientContext*)>;

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

absl::Status StatusOf(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

class Client::Connections {
 public:
  explicit Connections(Options options)
      : options_(std::move(options)), random_(base::EntropySeed()) {}

  absl::Status Open() {
    const grpc::ChannelArguments arguments = ArgumentsOf(options_);
    for (const std::string& name : options_.endpoints) {
      const absl::StatusOr<std::string> target = GrpcTarget(name);
      if (!target.ok()) return target.status();
      auto channel =
          grpc::CreateCustomChannel(*target, grpc::InsecureChannelCredentials(), arguments);
      Endpoint endpoint;
      endpoint.name = name;
      endpoint.kv = etcdserverpb::KV::NewStub(channel);
      endpoint.lease = etcdserverpb::Lease::NewStub(channel);
      endpoint.cluster = etcdserverpb::Cluster::NewStub(channel);
      endpoint.maintenance = etcdserverpb::Maintenance::NewStub(channel);
      endpoint.channel = std::move(channel);
      endpoints_.push_back(std::move(endpoint));
    }
    return absl::OkStatus();
  }

  // Runs `attempt` on endpoints until one answers, as far as `repeat` allows.
  absl::Status Run(Repeat repeat, const Attempt& attempt) {
    const base::TimePoint deadline = DeadlineOfCall();
    absl::Status last;
    for (int round = 0; round < options_.rounds_max; ++round) {
      if (round > 0 && !PauseBefore(round, deadline)) break;
      const size_t first = preferred_.load(std::memory_order_relaxed);
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

  absl::Status RunOn(std::string_view name, const Attempt& attempt) {
    for (const Endpoint& endpoint : endpoints_) {
      if (endpoint.name != name) continue;
      const base::TimePoint deadline = DeadlineOfCall();
      const absl::Status connected = Connect(endpoint, deadline);
      if (!connected.ok()) return connected;
      grpc::ClientContext context;
      SetDeadline(deadline, &context);
      return StatusOf(attempt(endpoint, &context));
    }
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(name), "' is not an endpoint of ours"));
  }

  const std::vector<std::string>& names() const { return options_.endpoints; }

 private:
  // *elsewhere: nobody can have run it, or running it again does no harm, so that the next
  // endpoint may be tried.
  absl::Status TryOne(const Endpoint& endpoint, Repeat repeat, base::TimePoint deadline,
                      const Attempt& attempt, bool* elsewhere) {
    const absl::Status connected = Connect(endpoint, deadline);
    if (!connected.ok()) {
      *elsewhere = clock_.Now() < deadline;
      return connected;
    }
    base::TimePoint attempt_deadline = deadline;
    if (repeat == Repeat::kFreely && endpoints_.size() > 1) {
      attempt_deadline = std::min(
          deadline, clock_.Now() + absl::ToChronoNanoseconds(options_.read_attempt_timeout));
    }
    grpc::ClientContext context;
    SetDeadline(attempt_deadline, &context);
    const absl::Status status = StatusOf(attempt(endpoint, &context));
    const bool time_left = clock_.Now() < deadline;
    if (repeat == Repeat::kFreely) {
      *elsewhere = time_left && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
    }
    if (absl::IsFailedPrecondition(status) && status.message() == kLearnerRefuses) {
      *elsewhere = time_left;
    }
    return status;
  }

  // Returns once the endpoint's connection stands, so that a failure before it is proof that
  // nothing was sent.
  absl::Status Connect(const Endpoint& endpoint, base::TimePoint deadline) {
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

  // False if the deadline would pass in the pause.
  bool PauseBefore(int round, base::TimePoint deadline) {
    const absl::Duration longest =
        std::min(options_.pause_longest, options_.pause_first * (int64_t{1} << (round - 1)));
    absl::Duration pause = longest / 2;
    {
      absl::MutexLock lock(&random_mutex_);
      pause += absl::Nanoseconds(static_cast<int64_t>(
          random_.Below(static_cast<uint64_t>(absl::ToInt64Nanoseconds(longest / 2)) + 1)));
    }
    if (clock_.Now() + absl::ToChronoNanoseconds(pause) >= deadline) return false;
    absl::SleepFor(pause);
    return true;
  }

  base::TimePoint DeadlineOfCall() const {
    return clock_.Now() + absl::ToChronoNanoseconds(options_.call_timeout);
  }

  void SetDeadline(base::TimePoint deadline, grpc::ClientContext* context) const {
    context->set_deadline(WallTimeAfter(deadline - clock_.Now()));
  }

  const Options options_;
  const base::SystemClock clock_;
  // Fixed after Open(); stubs and channels may be used by any thread.
  std::vector<Endpoint> endpoints_;
  // Where the next call begins: the endpoint that answered last.
  std::atomic<size_t> preferred_{0};
  absl::Mutex random_mutex_;
  base::Random random_ ABSL_GUARDED_BY(random_mutex_);
};

Client::Client(std::unique_ptr<Connections> connections) : connections_(std::move(connections)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(Options options) {
  if (options.endpoints.empty()) return absl::InvalidArgumentError("no endpoints are given");
  if (options.call_timeout <= absl::ZeroDuration() ||
      options.dial_timeout <= absl::ZeroDuration() ||
      options.read_attempt_timeout <= absl::ZeroDuration() ||
      options.pause_first <= absl::ZeroDuration() || options.pause_longest < options.pause_first) {
    return absl::InvalidArgumentError("timeouts and pauses must be above zero");
  }
  if (options.rounds_max < 1 || options.rounds_max > 30) {
    return absl::InvalidArgumentError("rounds_max must be 1 to 30");
  }
  auto connections = std::make_unique<Connections>(std::move(options));
  const absl::Status opened = connections->Open();
  if (!opened.ok()) return opened;
  return std::unique_ptr<Client>(new Client(std::move(connections)));
}

const std::vector<std::string>& Client::endpoints() const { return connections_->names(); }

absl::StatusOr<mvccpb::KeyValue> Client::Get(std::string_view key) const {
  absl::StatusOr<etcdserverpb::RangeResponse> response = Range(RangeOf(key));
  if (!response.ok()) return response.status();
  if (response->kvs().empty())
    return absl::NotFoundError(absl::StrCat("no key '", std::string(key), "'"));
  return std::move(*response->mutable_kvs(0));
}

absl::StatusOr<etcdserverpb::RangeResponse> Client::Range(
    const etcdserverpb::RangeRequest& request) const {
  etcdserverpb::RangeResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.kv->Range(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::PutResponse> Client::Put(std::string_view key,
                                                      std::string_view value) const {
  return Put(PutOf(key, value));
}

absl::StatusOr<etcdserverpb::PutResponse> Client::Put(
    const etcdserverpb::PutRequest& request) const {
  etcdserverpb::PutResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.kv->Put(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::DeleteRangeResponse> Client::DeleteRange(
    const etcdserverpb::DeleteRangeRequest& request) const {
  etcdserverpb::DeleteRangeResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.kv->DeleteRange(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::TxnResponse> Client::Txn(
    const etcdserverpb::TxnRequest& request) const {
  etcdserverpb::TxnResponse response;
  const Repeat repeat = IsReadOnly(request) ? Repeat::kFreely : Repeat::kOnlyUnsent;
  const absl::Status status =
      connections_->Run(repeat, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.kv->Txn(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::CompactionResponse> Client::Compact(int64_t revision,
                                                                 bool physical) const {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(physical);
  etcdserverpb::CompactionResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.kv->Compact(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseGrantResponse> Client::LeaseGrant(int64_t ttl_seconds,
                                                                    int64_t id) const {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl_seconds);
  request.set_id(id);
  etcdserverpb::LeaseGrantResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.lease->LeaseGrant(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseRevokeResponse> Client::LeaseRevoke(int64_t id) const {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  etcdserverpb::LeaseRevokeResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.lease->LeaseRevoke(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::MemberListResponse> Client::MemberList(bool linearizable) const {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(linearizable);
  etcdserverpb::MemberListResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.cluster->MemberList(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::MemberAddResponse> Client::MemberAdd(
    const std::vector<std::string>& peer_urls, bool is_learner) const {
  etcdserverpb::MemberAddRequest request;
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  request.set_islearner(is_learner);
  etcdserverpb::MemberAddResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.cluster->MemberAdd(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::MemberRemoveResponse> Client::MemberRemove(uint64_t id) const {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  etcdserverpb::MemberRemoveResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.cluster->MemberRemove(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::MemberUpdateResponse> Client::MemberUpdate(
    uint64_t id, const std::vector<std::string>& peer_urls) const {
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(id);
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  etcdserverpb::MemberUpdateResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.cluster->MemberUpdate(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::MemberPromoteResponse> Client::MemberPromote(uint64_t id) const {
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(id);
  etcdserverpb::MemberPromoteResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.cluster->MemberPromote(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::AlarmResponse> Client::Alarms() const {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::GET);
  etcdserverpb::AlarmResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.maintenance->Alarm(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::Status Client::MoveLeader(std::string_view endpoint_name, uint64_t to) const {
  etcdserverpb::MoveLeaderRequest request;
  request.set_targetid(to);
  etcdserverpb::MoveLeaderResponse response;
  return connections_->RunOn(endpoint_name,
                             [&](const Endpoint& endpoint, grpc::ClientContext* context) {
                               return endpoint.maintenance->MoveLeader(context, request, &response);
                             });
}

absl::StatusOr<etcdserverpb::StatusResponse> Client::Status(std::string_view endpoint_name) const {
  etcdserverpb::StatusResponse response;
  const absl::Status status = connections_->RunOn(
      endpoint_name, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.maintenance->Status(context, {}, &response);
      });
  if (!status.ok()) return status;
  return response;
}

}  // namespace client
