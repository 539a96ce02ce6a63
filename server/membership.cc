// SPDX-License-Identifier: Apache-2.0

#include "server/membership.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha1.h"
#include "base/status.h"
#include "proto/membership_change.pb.h"
#include "server/config.h"
#include "server/errors.h"

namespace server {
namespace {

// etcd's default for --max-learners.
constexpr size_t kLearnersMax = 1;

PlannedChange Planned(const Membership& membership, const raft::Configuration& next,
                      const datum::membership::MembershipChange& change) {
  return {raft::EncodeConfigurationCommand(next, change.SerializeAsString()), membership.index};
}

void FillMember(const Member& member, datum::membership::Member* to) {
  to->set_id(member.id);
  to->set_name(member.name);
  for (const std::string& url : member.peer_urls) to->add_peer_urls(url);
  for (const std::string& url : member.client_urls) to->add_client_urls(url);
  to->set_is_learner(member.is_learner);
  to->set_votes_when_ready(member.votes_when_ready);
  to->set_data_dir_uuid(member.data_dir_uuid);
}

absl::Status CheckUrls(const std::vector<std::string>& urls) {
  if (urls.empty()) return ErrorStatus(WireError::kMemberBadUrls);
  for (const std::string& url : urls) {
    if (!ParseUrl(url).ok()) return ErrorStatus(WireError::kMemberBadUrls);
  }
  return absl::OkStatus();
}

std::vector<const Member*> Voters(const Membership& membership) {
  std::vector<const Member*> voters;
  for (const auto& [id, member] : membership.members) {
    if (!member.is_learner) voters.push_back(&member);
  }
  return voters;
}

absl::Status NotEnoughStarted() { return ErrorStatus(WireError::kMemberNotEnoughStarted); }

}  // namespace

const Member* Membership::Find(uint64_t id) const {
  const auto found = members.find(id);
  return found == members.end() ? nullptr : &found->second;
}

const Member* Membership::FindByUrls(const std::vector<std::string>& peer_urls) const {
  for (const auto& [id, member] : members) {
    for (const std::string& url : member.peer_urls) {
      if (std::find(peer_urls.begin(), peer_urls.end(), url) != peer_urls.end()) return &member;
    }
  }
  return nullptr;
}

raft::Configuration Membership::configuration() const {
  std::vector<raft::NodeId> voters, learners;
  for (const auto& [id, member] : members) {
    (member.is_learner ? learners : voters).push_back(raft::NodeId(id));
  }
  return raft::Configuration(std::move(voters), std::move(learners));
}

absl::Status CheckAdd(const Membership& membership, bool is_learner,
                      const Connections& connections) {
  const std::vector<const Member*> voters = Voters(membership);
  if (!is_learner) {
    size_t started = 0;
    for (const Member* voter : voters) started += voter->started() ? 1 : 0;
    // One that stands alone may grow: else a restored cluster never could.
    const bool grows_from_one = started == 1 && voters.size() == 1;
    if (!grows_from_one && started < (voters.size() + 1) / 2 + 1) return NotEnoughStarted();
  }
  for (const Member* voter : voters) {
    if (!connections.steady(voter->id)) return ErrorStatus(WireError::kUnhealthy);
  }
  return absl::OkStatus();
}

absl::Status CheckRemove(const Membership& membership, uint64_t id,
                         const Connections& connections) {
  const Member* leaving = membership.Find(id);
  if (leaving == nullptr) return ErrorStatus(WireError::kMemberNotFound);
  if (leaving->is_learner) return absl::OkStatus();
  const std::vector<const Member*> voters = Voters(membership);
  size_t started = 0;
  size_t steady = 0;
  for (const Member* voter : voters) {
    if (voter->id != id && voter->started()) ++started;
    if (connections.steady(voter->id)) ++steady;
  }
  if (voters.size() == 1 || started < (voters.size() - 1) / 2 + 1) return NotEnoughStarted();
  // One that is down takes nothing from the quorum that is up.
  if (id != connections.self && !connections.connected(id)) return absl::OkStatus();
  if (steady - 1 < 1 + (voters.size() - 1) / 2) return ErrorStatus(WireError::kUnhealthy);
  return absl::OkStatus();
}

absl::Status CheckPromote(const Membership& membership, uint64_t id) {
  const Member* learner = membership.Find(id);
  if (learner == nullptr) return ErrorStatus(WireError::kMemberNotFound);
  size_t started = 1;
  size_t voters = 1;
  for (const Member* voter : Voters(membership)) {
    ++voters;
    started += voter->started() ? 1 : 0;
  }
  return started < voters / 2 + 1 ? NotEnoughStarted() : absl::OkStatus();
}

absl::StatusOr<PlannedChange> PlanAdd(const Membership& membership, const Member& member) {
  RETURN_IF_ERROR(CheckUrls(member.peer_urls));
  if (membership.Find(member.id) != nullptr || membership.removed.count(member.id) > 0) {
    return ErrorStatus(WireError::kMemberExists);
  }
  if (membership.FindByUrls(member.peer_urls) != nullptr) {
    return ErrorStatus(WireError::kPeerUrlExists);
  }
  Membership next = membership;
  next.members[member.id] = member;
  // Those on their way to vote, or to vote again, are not learners to etcd's clients.
  const auto stays_learner = [](const auto& item) {
    return item.second.is_learner && !item.second.votes_when_ready;
  };
  if (stays_learner(*next.members.find(member.id)) &&
      static_cast<size_t>(std::count_if(next.members.begin(), next.members.end(), stays_learner)) >
          kLearnersMax) {
    return ErrorStatus(WireError::kTooManyLearners);
  }
  datum::membership::MembershipChange change;
  FillMember(member, change.mutable_add());
  return Planned(membership, next.configuration(), change);
}

absl::StatusOr<PlannedChange> PlanRemove(const Membership& membership, uint64_t id) {
  Membership next = membership;
  if (next.members.erase(id) == 0) return ErrorStatus(WireError::kMemberNotFound);
  // Nobody would be left to say that it is done.
  if (next.configuration().voters().empty()) return NotEnoughStarted();
  datum::membership::MembershipChange change;
  change.set_remove(id);
  return Planned(membership, next.configuration(), change);
}

absl::StatusOr<PlannedChange> PlanUpdate(const Membership& membership, uint64_t id,
                                         const std::vector<std::string>& peer_urls) {
  RETURN_IF_ERROR(CheckUrls(peer_urls));
  if (membership.Find(id) == nullptr) return ErrorStatus(WireError::kMemberNotFound);
  Membership others = membership;
  others.members.erase(id);
  if (others.FindByUrls(peer_urls) != nullptr) return ErrorStatus(WireError::kPeerUrlExists);
  datum::membership::MembershipChange change;
  change.mutable_update_peer_urls()->set_id(id);
  for (const std::string& url : peer_urls) change.mutable_update_peer_urls()->add_peer_urls(url);
  return Planned(membership, membership.configuration(), change);
}

absl::StatusOr<PlannedChange> PlanPromote(const Membership& membership, uint64_t id) {
  const Member* learner = membership.Find(id);
  if (learner == nullptr) return ErrorStatus(WireError::kMemberNotFound);
  if (!learner->is_learner) return ErrorStatus(WireError::kMemberNotLearner);
  Membership next = membership;
  next.members[id].is_learner = false;
  datum::membership::MembershipChange change;
  change.set_promote(id);
  return Planned(membership, next.configuration(), change);
}

absl::StatusOr<PlannedChange> PlanBind(const Membership& membership, uint64_t id,
                                       const std::string& data_dir_uuid) {
  const Member* member = membership.Find(id);
  if (member == nullptr) return ErrorStatus(WireError::kMemberNotFound);
  if (!member->data_dir_uuid.empty() && member->data_dir_uuid != data_dir_uuid) {
    return absl::FailedPreconditionError(
        absl::StrCat("member ", absl::Hex(id), " belongs to another data directory"));
  }
  datum::membership::MembershipChange change;
  change.mutable_bind()->set_id(id);
  change.mutable_bind()->set_data_dir_uuid(data_dir_uuid);
  return Planned(membership, membership.configuration(), change);
}

absl::StatusOr<PlannedChange> PlanReplace(const Membership& membership, uint64_t id,
                                          const Member& by) {
  Membership next = membership;
  if (next.members.erase(id) == 0) return ErrorStatus(WireError::kMemberNotFound);
  if (next.configuration().voters().empty()) return NotEnoughStarted();
  if (next.Find(by.id) != nullptr || next.removed.count(by.id) > 0) {
    return ErrorStatus(WireError::kMemberExists);
  }
  next.members[by.id] = by;
  datum::membership::MembershipChange change;
  change.mutable_replace()->set_id(id);
  FillMember(by, change.mutable_replace()->mutable_by());
  return Planned(membership, next.configuration(), change);
}

std::string BootstrapCommand(const std::vector<Member>& members) {
  Membership first;
  datum::membership::MembershipChange change;
  for (const Member& member : members) {
    first.members[member.id] = member;
    FillMember(member, change.mutable_bootstrap()->add_members());
  }
  return raft::EncodeConfigurationCommand(first.configuration(), change.SerializeAsString());
}

uint64_t AddedMemberId(std::vector<std::string> peer_urls, uint64_t salt) {
  std::sort(peer_urls.begin(), peer_urls.end());
  const auto digest = base::Sha1(absl::StrCat(absl::StrJoin(peer_urls, ""), salt));
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id = id << 8 | digest[i];
  return id;
}

etcdserverpb::Member WireMember(const Member& member) {
  etcdserverpb::Member wire;
  wire.set_id(member.id);
  wire.set_name(member.name);
  for (const std::string& url : member.peer_urls) wire.add_peerurls(url);
  for (const std::string& url : member.client_urls) wire.add_clienturls(url);
  wire.set_islearner(member.is_learner);
  return wire;
}

absl::Status CheckPeer(const Membership& membership, uint64_t from, const std::string& uuid) {
  if (membership.removed.count(from) > 0) return absl::FailedPreconditionError(kRemovedText);
  const Member* member = membership.Find(from);
  // It may be newer than what is known here.
  if (member == nullptr) return absl::OkStatus();
  if (!member->data_dir_uuid.empty() && member->data_dir_uuid != uuid) {
    return absl::FailedPreconditionError(
        absl::StrCat("member ", absl::Hex(from),
                     " was started with another data directory than the one it "
                     "belongs to"));
  }
  return absl::OkStatus();
}

}  // namespace server
