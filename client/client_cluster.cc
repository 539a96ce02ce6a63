// SPDX-License-Identifier: Apache-2.0

#include "client/client.h"

#include <string>
#include <utility>

#include "client/connections.h"

namespace client {

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

absl::StatusOr<etcdserverpb::AlarmResponse> Client::AlarmDisarm(
    uint64_t member, etcdserverpb::AlarmType type) const {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(member);
  request.set_alarm(type);
  etcdserverpb::AlarmResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.maintenance->Alarm(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::Status Client::Defragment(std::string_view endpoint_name) const {
  etcdserverpb::DefragmentResponse response;
  return connections_->RunOn(endpoint_name,
                             [&](const Endpoint& endpoint, grpc::ClientContext* context) {
                               return endpoint.maintenance->Defragment(context, {}, &response);
                             });
}

absl::StatusOr<etcdserverpb::HashKVResponse> Client::HashKV(std::string_view endpoint_name,
                                                            int64_t revision) const {
  etcdserverpb::HashKVRequest request;
  request.set_revision(revision);
  etcdserverpb::HashKVResponse response;
  const absl::Status status = connections_->RunOn(
      endpoint_name, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.maintenance->HashKV(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::Status Client::Snapshot(std::string_view endpoint_name, absl::Duration timeout,
                              const SnapshotSink& sink) const {
  absl::Status taken;
  const absl::Status status = connections_->RunOn(
      endpoint_name, timeout, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        const auto stream = endpoint.maintenance->Snapshot(context, {});
        etcdserverpb::SnapshotResponse piece;
        while (taken.ok() && stream->Read(&piece)) taken = sink(piece);
        if (!taken.ok()) context->TryCancel();
        return stream->Finish();
      });
  return taken.ok() ? status : taken;
}

absl::StatusOr<v3lockpb::LockResponse> Client::Lock(std::string_view name, int64_t lease,
                                                    absl::Duration timeout) const {
  v3lockpb::LockRequest request;
  request.set_name(std::string(name));
  request.set_lease(lease);
  v3lockpb::LockResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kPatiently, timeout, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.lock->Lock(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v3lockpb::UnlockResponse> Client::Unlock(std::string_view key) const {
  v3lockpb::UnlockRequest request;
  request.set_key(std::string(key));
  v3lockpb::UnlockResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.lock->Unlock(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v3electionpb::CampaignResponse> Client::Campaign(std::string_view name,
                                                                int64_t lease,
                                                                std::string_view value,
                                                                absl::Duration timeout) const {
  v3electionpb::CampaignRequest request;
  request.set_name(std::string(name));
  request.set_lease(lease);
  request.set_value(std::string(value));
  v3electionpb::CampaignResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kPatiently, timeout, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.election->Campaign(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v3electionpb::ProclaimResponse> Client::Proclaim(
    const v3electionpb::LeaderKey& leader, std::string_view value) const {
  v3electionpb::ProclaimRequest request;
  *request.mutable_leader() = leader;
  request.set_value(std::string(value));
  v3electionpb::ProclaimResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kOnlyUnsent, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.election->Proclaim(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v3electionpb::LeaderResponse> Client::Leader(std::string_view name) const {
  v3electionpb::LeaderRequest request;
  request.set_name(std::string(name));
  v3electionpb::LeaderResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.election->Leader(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v3electionpb::ResignResponse> Client::Resign(
    const v3electionpb::LeaderKey& leader) const {
  v3electionpb::ResignRequest request;
  *request.mutable_leader() = leader;
  v3electionpb::ResignResponse response;
  const absl::Status status = connections_->Run(
      Repeat::kFreely, [&](const Endpoint& endpoint, grpc::ClientContext* context) {
        return endpoint.election->Resign(context, request, &response);
      });
  if (!status.ok()) return status;
  return response;
}

}  // namespace client
