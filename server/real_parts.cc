// SPDX-License-Identifier: Apache-2.0

#include "server/real_parts.h"

#include "base/status.h"

namespace server {

absl::Status MachineState::HashKv(int64_t revision, etcdserverpb::HashKVResponse* response) const {
  ASSIGN_OR_RETURN(const store::KvMachine::Hash hash, machine_->HashKv(revision));
  response->mutable_header()->set_revision(hash.newest_revision);
  response->set_hash(hash.hash);
  response->set_compact_revision(hash.compact_revision);
  // As etcd: what was asked for, were it negative.
  response->set_hash_revision(revision < 0 ? revision : hash.revision);
  return absl::OkStatus();
}

Membership MachineState::membership() const {
  const store::Membership known = machine_->membership();
  Membership membership;
  membership.removed = known.removed;
  membership.index = known.index;
  for (const store::Member& each : known.members) {
    Member& member = membership.members[each.id()];
    member.id = each.id();
    member.name = each.name();
    member.peer_urls = {each.peer_urls().begin(), each.peer_urls().end()};
    member.client_urls = {each.client_urls().begin(), each.client_urls().end()};
    member.is_learner = each.is_learner();
    member.votes_when_ready = each.votes_when_ready();
    member.data_dir_uuid = each.data_dir_uuid();
  }
  return membership;
}

absl::StatusOr<std::vector<int64_t>> MachineState::Leases() const {
  ASSIGN_OR_RETURN(const store::LeaseTtls ttls, machine_->Leases());
  std::vector<int64_t> leases;
  for (const auto& [lease, ttl] : ttls) leases.push_back(lease);
  return leases;
}

std::vector<etcdserverpb::AlarmMember> MachineState::alarms() const {
  std::vector<etcdserverpb::AlarmMember> alarms;
  for (const store::Alarm& raised : machine_->alarms()) {
    etcdserverpb::AlarmMember& alarm = alarms.emplace_back();
    alarm.set_memberid(raised.member_id);
    alarm.set_alarm(static_cast<etcdserverpb::AlarmType>(raised.kind));
  }
  return alarms;
}

}  // namespace server
