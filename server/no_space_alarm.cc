// SPDX-License-Identifier: Apache-2.0

#include "server/no_space_alarm.h"

#include <algorithm>

#include "glog/logging.h"
#include "proto/etcd/raft_internal.pb.h"

namespace server {
namespace {

constexpr base::Duration kRoomFor = std::chrono::seconds(10);
constexpr base::Duration kHandOverPause = std::chrono::seconds(30);

}  // namespace

void NoSpaceAlarm::Look(base::TimePoint now) {
  const absl::Status looked = space_.Look();
  LOG_IF(WARNING, !looked.ok()) << looked;
  const std::set<uint64_t> full = MembersWithoutSpace();
  const bool raised = full.contains(options_.member_id);
  LogIfChanged(raised);
  if (space_.low() && now >= hand_over_due_ && Leads() && OthersHaveSpace(full)) {
    hand_over_due_ = now + kHandOverPause;
    replica_->TransferLeadership(raft::kNobody);
  }
  if (space_.low() && !raised) {
    Publish(true, now);
  } else if (!space_.low() && raised && QuotaHasRoom(now) &&
             (space_.alarm_is_ours() || quota_->alarm_is_ours())) {
    Publish(false, now);
  } else if (!space_.low() && !raised) {
    space_.AlarmCleared();
    room_since_.reset();
  }
}

void NoSpaceAlarm::LogIfChanged(bool raised) {
  if (raised == logged_raised_) return;
  logged_raised_ = raised;
  if (!raised) {
    LOG(INFO) << "the NOSPACE alarm of this member is cleared";
  } else if (space_.low()) {
    LOG(WARNING)
        << "the NOSPACE alarm of this member is raised, for its disk: no member takes puts";
  } else {
    LOG(WARNING)
        << "the NOSPACE alarm of this member is raised, and no member takes puts: the store "
        << "holds " << state_->size_bytes() << " bytes, of " << quota_->bytes_max()
        << " in --quota-backend-bytes; compact or delete";
  }
}

bool NoSpaceAlarm::Leads() const {
  const raft::NodeStatus status = replica_->status();
  return status.leader == status.self;
}

std::set<uint64_t> NoSpaceAlarm::MembersWithoutSpace() const {
  std::set<uint64_t> full;
  for (const etcdserverpb::AlarmMember& alarm : state_->alarms()) {
    if (alarm.alarm() == etcdserverpb::NOSPACE) full.insert(alarm.memberid());
  }
  return full;
}

// Where all disks are nearly full leadership does not go round and round.
bool NoSpaceAlarm::OthersHaveSpace(const std::set<uint64_t>& full) const {
  const Membership membership = state_->membership();
  return std::any_of(membership.members.begin(), membership.members.end(), [&](const auto& item) {
    return item.first != options_.member_id && !item.second.is_learner &&
           !full.contains(item.first);
  });
}

// Not at once: whoever makes room by hand also disarms by hand, and may want to see the alarm.
bool NoSpaceAlarm::QuotaHasRoom(base::TimePoint now) {
  if (!quota_->alarm_is_ours()) return true;
  if (!quota_->HasRoomAgain()) {
    room_since_.reset();
    return false;
  }
  if (!room_since_.has_value()) room_since_ = now;
  return now - *room_since_ >= kRoomFor;
}

// Until it is seen in the state it is said again; twice says the same.
void NoSpaceAlarm::Publish(bool active, base::TimePoint now) {
  etcdserverpb::InternalRaftRequest request;
  auto* alarm = request.mutable_alarm();
  alarm->set_action(active ? etcdserverpb::AlarmRequest::ACTIVATE
                           : etcdserverpb::AlarmRequest::DEACTIVATE);
  alarm->set_memberid(options_.member_id);
  alarm->set_alarm(etcdserverpb::NOSPACE);
  replica_->Publish(request.SerializeAsString(), now + options_.request_timeout,
                    [](const raft::PublishOutcome&) {});
}

}  // namespace server
