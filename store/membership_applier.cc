// SPDX-License-Identifier: Apache-2.0

#include "store/membership_applier.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "glog/logging.h"
#include "proto/etcd/rpc.pb.h"
#include "store/errors.h"

namespace store {
namespace {

using datum::membership::MembershipChange;

raft::Configuration ConfigurationOf(const std::vector<Member>& members) {
  std::vector<raft::NodeId> voters;
  std::vector<raft::NodeId> learners;
  for (const Member& member : members) {
    (member.is_learner() ? learners : voters).push_back(raft::NodeId(member.id()));
  }
  return raft::Configuration(std::move(voters), std::move(learners));
}

void Show(const Member& member, etcdserverpb::Member* shown) {
  shown->set_id(member.id());
  shown->set_name(member.name());
  *shown->mutable_peerurls() = member.peer_urls();
  *shown->mutable_clienturls() = member.client_urls();
  shown->set_islearner(member.is_learner());
}

}  // namespace

absl::Status MembershipApplier::Apply(const raft::Entry& entry, std::string* response) {
  const auto command = raft::DecodeConfigurationCommand(entry.command);
  MembershipChange change;
  if (!command ||
      !change.ParseFromArray(command->payload.data(), static_cast<int>(command->payload.size()))) {
    LOG(ERROR) << "entry " << entry.position() << " holds no configuration";
    return ErrorStatus(Error::kUndecodable);
  }
  is_first_ = cluster_->membership().index == raft::Index{};
  cluster_->SetConfiguration(command->configuration, entry.index, pending_);
  RETURN_IF_ERROR(Change(change));
  if (change.change_case() != MembershipChange::CHANGE_NOT_SET &&
      ConfigurationOf(cluster_->membership().members) != command->configuration) {
    LOG(ERROR) << "entry " << entry.position()
               << ": the members are not those of the configuration";
  }
  if (response != nullptr) Answer(change, entry.term, response);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Change(const MembershipChange& change) {
  switch (change.change_case()) {
    case MembershipChange::kBootstrap:
      return Bootstrap(change.bootstrap());
    case MembershipChange::kAdd:
      return Add(change.add());
    case MembershipChange::kRemove:
      return Remove(change.remove());
    case MembershipChange::kUpdatePeerUrls:
      return UpdatePeerUrls(change.update_peer_urls());
    case MembershipChange::kPromote:
      return Promote(change.promote());
    case MembershipChange::kBind:
      return Bind(change.bind());
    case MembershipChange::kReplace:
      return Replace(change.replace());
    case MembershipChange::CHANGE_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status MembershipApplier::Bootstrap(const datum::membership::Bootstrap& bootstrap) {
  if (!is_first_) return ErrorStatus(Error::kMemberExists);
  for (const Member& member : bootstrap.members()) cluster_->SetMember(member, pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Replace(const datum::membership::Replace& replace) {
  const Member& by = replace.by();
  if (!cluster_->member(replace.id())) return ErrorStatus(Error::kMemberNotFound);
  if (by.id() == 0 || cluster_->member(by.id()) || cluster_->WasRemoved(by.id())) {
    return ErrorStatus(Error::kMemberExists);
  }
  if (PeerUrlTaken(by, replace.id())) return ErrorStatus(Error::kPeerUrlExists);
  cluster_->RemoveMember(replace.id(), pending_);
  cluster_->SetMember(by, pending_);
  return absl::OkStatus();
}

template <typename HasPeerUrls>
bool MembershipApplier::PeerUrlTaken(const HasPeerUrls& member, uint64_t but) const {
  for (const Member& other : cluster_->membership().members) {
    if (other.id() == but) continue;
    for (const std::string& url : member.peer_urls()) {
      const auto& taken = other.peer_urls();
      if (std::find(taken.begin(), taken.end(), url) != taken.end()) return true;
    }
  }
  return false;
}

absl::Status MembershipApplier::Add(const Member& member) {
  if (member.id() == 0 || cluster_->member(member.id()) || cluster_->WasRemoved(member.id())) {
    return ErrorStatus(Error::kMemberExists);
  }
  if (PeerUrlTaken(member, 0)) return ErrorStatus(Error::kPeerUrlExists);
  cluster_->SetMember(member, pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Remove(uint64_t id) {
  if (!cluster_->member(id)) return ErrorStatus(Error::kMemberNotFound);
  cluster_->RemoveMember(id, pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::UpdatePeerUrls(const datum::membership::UpdatePeerUrls& update) {
  std::optional<Member> member = cluster_->member(update.id());
  if (!member) return ErrorStatus(Error::kMemberNotFound);
  if (PeerUrlTaken(update, update.id())) return ErrorStatus(Error::kPeerUrlExists);
  *member->mutable_peer_urls() = update.peer_urls();
  cluster_->SetMember(*std::move(member), pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Promote(uint64_t id) {
  std::optional<Member> member = cluster_->member(id);
  if (!member) return ErrorStatus(Error::kMemberNotFound);
  if (!member->is_learner()) return ErrorStatus(Error::kMemberNotLearner);
  member->set_is_learner(false);
  cluster_->SetMember(*std::move(member), pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Bind(const datum::membership::Bind& bind) {
  std::optional<Member> member = cluster_->member(bind.id());
  if (!member) return ErrorStatus(Error::kMemberNotFound);
  if (!member->data_dir_uuid().empty() && member->data_dir_uuid() != bind.data_dir_uuid()) {
    return ErrorStatus(Error::kMemberBound);
  }
  member->set_data_dir_uuid(bind.data_dir_uuid());
  cluster_->SetMember(*std::move(member), pending_);
  return absl::OkStatus();
}

absl::Status MembershipApplier::Publish(const membershippb::ClusterMemberAttrSetRequest& request) {
  std::optional<Member> member = cluster_->member(request.member_id());
  // A log from before members stood in it has no bootstrap: there whoever speaks is believed.
  if (!member && cluster_->membership().index == raft::Index{}) {
    member.emplace().set_id(request.member_id());
  }
  if (!member) return ErrorStatus(Error::kMemberNotFound);
  member->set_name(request.member_attributes().name());
  *member->mutable_client_urls() = request.member_attributes().client_urls();
  cluster_->SetMember(*std::move(member), pending_);
  return absl::OkStatus();
}

void MembershipApplier::Answer(const MembershipChange& change, raft::Term term,
                               std::string* response) const {
  response->clear();
  switch (change.change_case()) {
    case MembershipChange::kAdd: {
      etcdserverpb::MemberAddResponse answer;
      Show(change.add(), answer.mutable_member());
      return Encode(std::move(answer), term, response);
    }
    case MembershipChange::kRemove:
      return Encode(etcdserverpb::MemberRemoveResponse(), term, response);
    case MembershipChange::kUpdatePeerUrls:
      return Encode(etcdserverpb::MemberUpdateResponse(), term, response);
    case MembershipChange::kPromote:
      return Encode(etcdserverpb::MemberPromoteResponse(), term, response);
    case MembershipChange::kBootstrap:
    case MembershipChange::kBind:
    case MembershipChange::kReplace:
    case MembershipChange::CHANGE_NOT_SET:
      break;
  }
}

template <typename Message>
void MembershipApplier::Encode(Message message, raft::Term term, std::string* response) const {
  // Answers of the Cluster service carry no revision (etcd-api 1.2).
  message.mutable_header()->set_cluster_id(identity_.cluster_id);
  message.mutable_header()->set_member_id(identity_.member_id);
  message.mutable_header()->set_raft_term(term.value());
  for (const Member& member : cluster_->membership().members) {
    Show(member, message.add_members());
  }
  CHECK(message.SerializeToString(response));
}

}  // namespace store
