// SPDX-License-Identifier: Apache-2.0

#include "server/real_parts.h"

namespace server {

std::vector<membershippb::Member> MachineState::members() const {
  std::vector<membershippb::Member> members;
  for (const store::MemberAttributes& attributes : machine_->members()) {
    membershippb::Member& member = members.emplace_back();
    member.set_id(attributes.id);
    member.mutable_member_attributes()->set_name(attributes.name);
    for (const std::string& url : attributes.client_urls) {
      member.mutable_member_attributes()->add_client_urls(url);
    }
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
