// SPDX-License-Identifier: Apache-2.0

#include "client/client.h"

#include <string>
#include <utility>

#include "client/connections.h"

namespace client {

absl::StatusOr<etcdserverpb::MemberListResponse> Client::MemberList(bool linearizable) const {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(linearizable);
  return connections_->Ask(Repeat::kFreely, &Endpoint::cluster,
                           &etcdserverpb::Cluster::Stub::MemberList, request);
}

absl::StatusOr<etcdserverpb::MemberAddResponse> Client::MemberAdd(
    const std::vector<std::string>& peer_urls, bool is_learner) const {
  etcdserverpb::MemberAddRequest request;
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  request.set_islearner(is_learner);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::cluster,
                           &etcdserverpb::Cluster::Stub::MemberAdd, request);
}

absl::StatusOr<etcdserverpb::MemberRemoveResponse> Client::MemberRemove(uint64_t id) const {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::cluster,
                           &etcdserverpb::Cluster::Stub::MemberRemove, request);
}

absl::StatusOr<etcdserverpb::MemberUpdateResponse> Client::MemberUpdate(
    uint64_t id, const std::vector<std::string>& peer_urls) const {
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(id);
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::cluster,
                           &etcdserverpb::Cluster::Stub::MemberUpdate, request);
}

absl::StatusOr<etcdserverpb::MemberPromoteResponse> Client::MemberPromote(uint64_t id) const {
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(id);
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::cluster,
                           &etcdserverpb::Cluster::Stub::MemberPromote, request);
}

absl::StatusOr<etcdserverpb::AlarmResponse> Client::Alarms() const {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::GET);
  return connections_->Ask(Repeat::kFreely, &Endpoint::maintenance,
                           &etcdserverpb::Maintenance::Stub::Alarm, request);
}

absl::Status Client::MoveLeader(std::string_view endpoint_name, uint64_t to) const {
  etcdserverpb::MoveLeaderRequest request;
  request.set_targetid(to);
  return connections_
      ->AskOn(endpoint_name, &Endpoint::maintenance, &etcdserverpb::Maintenance::Stub::MoveLeader,
              request)
      .status();
}

absl::StatusOr<etcdserverpb::StatusResponse> Client::Status(std::string_view endpoint_name) const {
  return connections_->AskOn(endpoint_name, &Endpoint::maintenance,
                             &etcdserverpb::Maintenance::Stub::Status, {});
}

absl::StatusOr<etcdserverpb::AlarmResponse> Client::AlarmDisarm(
    uint64_t member, etcdserverpb::AlarmType type) const {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(member);
  request.set_alarm(type);
  return connections_->Ask(Repeat::kFreely, &Endpoint::maintenance,
                           &etcdserverpb::Maintenance::Stub::Alarm, request);
}

absl::Status Client::Defragment(std::string_view endpoint_name) const {
  return connections_
      ->AskOn(endpoint_name, &Endpoint::maintenance, &etcdserverpb::Maintenance::Stub::Defragment,
              {})
      .status();
}

absl::StatusOr<etcdserverpb::HashKVResponse> Client::HashKV(std::string_view endpoint_name,
                                                            int64_t revision) const {
  etcdserverpb::HashKVRequest request;
  request.set_revision(revision);
  return connections_->AskOn(endpoint_name, &Endpoint::maintenance,
                             &etcdserverpb::Maintenance::Stub::HashKV, request);
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
  return connections_->Ask(Repeat::kPatiently, timeout, &Endpoint::lock,
                           &v3lockpb::Lock::Stub::Lock, request);
}

absl::StatusOr<v3lockpb::UnlockResponse> Client::Unlock(std::string_view key) const {
  v3lockpb::UnlockRequest request;
  request.set_key(std::string(key));
  return connections_->Ask(Repeat::kFreely, &Endpoint::lock, &v3lockpb::Lock::Stub::Unlock,
                           request);
}

absl::StatusOr<v3electionpb::CampaignResponse> Client::Campaign(std::string_view name,
                                                                int64_t lease,
                                                                std::string_view value,
                                                                absl::Duration timeout) const {
  v3electionpb::CampaignRequest request;
  request.set_name(std::string(name));
  request.set_lease(lease);
  request.set_value(std::string(value));
  return connections_->Ask(Repeat::kPatiently, timeout, &Endpoint::election,
                           &v3electionpb::Election::Stub::Campaign, request);
}

absl::StatusOr<v3electionpb::ProclaimResponse> Client::Proclaim(
    const v3electionpb::LeaderKey& leader, std::string_view value) const {
  v3electionpb::ProclaimRequest request;
  *request.mutable_leader() = leader;
  request.set_value(std::string(value));
  return connections_->Ask(Repeat::kOnlyUnsent, &Endpoint::election,
                           &v3electionpb::Election::Stub::Proclaim, request);
}

absl::StatusOr<v3electionpb::LeaderResponse> Client::Leader(std::string_view name) const {
  v3electionpb::LeaderRequest request;
  request.set_name(std::string(name));
  return connections_->Ask(Repeat::kFreely, &Endpoint::election,
                           &v3electionpb::Election::Stub::Leader, request);
}

absl::StatusOr<v3electionpb::ResignResponse> Client::Resign(
    const v3electionpb::LeaderKey& leader) const {
  v3electionpb::ResignRequest request;
  *request.mutable_leader() = leader;
  return connections_->Ask(Repeat::kFreely, &Endpoint::election,
                           &v3electionpb::Election::Stub::Resign, request);
}

}  // namespace client
