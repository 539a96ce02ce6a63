// SPDX-License-Identifier: Apache-2.0

#include "client/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/connections.h"

namespace client {

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

const std::vector<std::string>& Client::endpoints() const {
  return connections_->options().endpoints;
}

absl::StatusOr<mvccpb::KeyValue> Client::Get(std::string_view key) const {
  absl::StatusOr<etcdserverpb::RangeResponse> response = Range(RangeOf(key));
  if (!response.ok()) return response.status();
  if (response->kvs().empty())
    return absl::NotFoundError(absl::StrCat("no key '", std::string(key), "'"));
  return std::move(*response->mutable_kvs(0));
}

absl::StatusOr<etcdserverpb::RangeResponse> Client::Range(
    const etcdserverpb::RangeRequest& request) const {
  return connections_->Ask(Repeat::kFreely, &Endpoint::kv, &etcdserverpb::KV::Stub::Range, request);
}

absl::StatusOr<etcdserverpb::PutResponse> Client::Put(std::string_view key,
                                                      std::string_view value) const {
  return Put(PutOf(key, value));
}

absl::StatusOr<etcdserverpb::PutResponse> Client::Put(
    const etcdserverpb::PutRequest& request) const {
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::kv, &etcdserverpb::KV::Stub::Put,
                           request);
}

absl::StatusOr<etcdserverpb::DeleteRangeResponse> Client::DeleteRange(
    const etcdserverpb::DeleteRangeRequest& request) const {
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::kv, &etcdserverpb::KV::Stub::DeleteRange,
                           request);
}

absl::StatusOr<etcdserverpb::TxnResponse> Client::Txn(
    const etcdserverpb::TxnRequest& request) const {
  const Repeat repeat = IsReadOnly(request) ? Repeat::kFreely : Repeat::kOnlyUnsent;
  return connections_->Ask(repeat, &Endpoint::kv, &etcdserverpb::KV::Stub::Txn, request);
}

absl::StatusOr<etcdserverpb::CompactionResponse> Client::Compact(int64_t revision,
                                                                 bool physical) const {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(physical);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::kv, &etcdserverpb::KV::Stub::Compact,
                           request);
}

absl::StatusOr<etcdserverpb::LeaseGrantResponse> Client::LeaseGrant(int64_t ttl_seconds,
                                                                    int64_t id) const {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl_seconds);
  request.set_id(id);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::lease,
                           &etcdserverpb::Lease::Stub::LeaseGrant, request);
}

absl::StatusOr<etcdserverpb::LeaseRevokeResponse> Client::LeaseRevoke(int64_t id) const {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::lease,
                           &etcdserverpb::Lease::Stub::LeaseRevoke, request);
}

absl::StatusOr<etcdserverpb::LeaseKeepAliveResponse> Client::LeaseKeepAlive(
    int64_t id, absl::Duration timeout) const {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  etcdserverpb::LeaseKeepAliveResponse response;
  const auto exchange = [&](const Endpoint& endpoint, grpc::ClientContext* context) {
    const auto stream = endpoint.lease->LeaseKeepAlive(context);
    const bool answered = stream->Write(request) && stream->WritesDone() && stream->Read(&response);
    grpc::Status ended = stream->Finish();
    if (answered) return grpc::Status::OK;
    return ended.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "no answer to a keep-alive")
                      : ended;
  };
  const absl::Duration limit =
      timeout > absl::ZeroDuration() ? timeout : connections_->options().call_timeout;
  const absl::Status status = connections_->Run(Repeat::kFreely, limit, exchange);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseTimeToLiveResponse> Client::LeaseTimeToLive(int64_t id,
                                                                              bool keys) const {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  return connections_->Ask(Repeat::kFreely, &Endpoint::lease,
                           &etcdserverpb::Lease::Stub::LeaseTimeToLive, request);
}

absl::StatusOr<etcdserverpb::LeaseLeasesResponse> Client::Leases() const {
  const etcdserverpb::LeaseLeasesRequest request;
  return connections_->Ask(Repeat::kFreely, &Endpoint::lease,
                           &etcdserverpb::Lease::Stub::LeaseLeases, request);
}

}  // namespace client
