// SPDX-License-Identifier: Apache-2.0

#include "server/real_parts.h"

namespace server {

std::vector<membershippb::Member> MachineState::members() const {
  std::vector<membershippb::Member> members;
  for (const store::Member& known : machine_->membership().members) {
    membershippb::Member& member = members.emplace_back();
    member.set_id(known.id());
    member.mutable_raft_attributes()->set_is_learner(known.is_learner());
    *member.mutable_raft_attributes()->mutable_peer_urls() = known.peer_urls();
    member.mutable_member_attributes()->set_name(known.name());
    *member.mutable_member_attributes()->mutable_client_urls() = known.client_urls();
  }
  return members;
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
