// SPDX-License-Identifier: Apache-2.0

#include "store/cluster_record.h"

#include <algorithm>
#include <memory>

#include "proto/etcd/membership.pb.h"
#include "store/keys.h"

namespace store {
namespace {

constexpr std::string_view kMemberPrefix = "member/";
constexpr std::string_view kAlarmPrefix = "alarm/";

std::string MemberKey(uint64_t id) {
  std::string key(kMemberPrefix);
  AppendFixed64(&key, id);
  return key;
}

std::string AlarmKey(Alarm alarm) {
  std::string key(kAlarmPrefix);
  AppendFixed64(&key, alarm.member_id);
  key.push_back(static_cast<char>(alarm.kind));
  return key;
}

}  // namespace

absl::Status ClusterRecord::Load(const Reader& state) {
  std::lock_guard<std::mutex> lock(mutex_);
  const std::unique_ptr<Cursor> cursor = state.NewCursor(Family::kApplied, {});
  for (cursor->Seek(kAlarmPrefix); cursor->Valid(); cursor->Next()) {
    if (!cursor->key().starts_with(kAlarmPrefix)) break;
    const std::string_view rest = cursor->key().substr(kAlarmPrefix.size());
    if (rest.size() != 9) return absl::DataLossError("an alarm's record has a wrong length");
    alarms_.insert({DecodeFixed64(rest.data()), static_cast<AlarmKind>(rest[8])});
  }
  for (cursor->Seek(kMemberPrefix); cursor->Valid(); cursor->Next()) {
    if (!cursor->key().starts_with(kMemberPrefix)) break;
    const std::string_view rest = cursor->key().substr(kMemberPrefix.size());
    membershippb::Attributes stored;
    const std::string_view value = cursor->value();
    if (rest.size() != 8 || !stored.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      return absl::DataLossError("a member's record cannot be read");
    }
    MemberAttributes& member = members_[DecodeFixed64(rest.data())];
    member.id = DecodeFixed64(rest.data());
    member.name = stored.name();
    member.client_urls.assign(stored.client_urls().begin(), stored.client_urls().end());
  }
  return cursor->status();
}

void ClusterRecord::SetMember(MemberAttributes attributes, PendingWrites* pending) {
  membershippb::Attributes stored;
  stored.set_name(attributes.name);
  for (const std::string& url : attributes.client_urls) stored.add_client_urls(url);
  pending->Put(Family::kApplied, pending->Copy(MemberKey(attributes.id)),
               pending->Copy(stored.SerializeAsString()));
  std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t id = attributes.id;
  members_[id] = std::move(attributes);
}

bool ClusterRecord::Raise(Alarm alarm, PendingWrites* pending) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!alarms_.insert(alarm).second) return false;
  pending->Put(Family::kApplied, pending->Copy(AlarmKey(alarm)), {});
  return true;
}

bool ClusterRecord::Disarm(Alarm alarm, PendingWrites* pending) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (alarms_.erase(alarm) == 0) return false;
  pending->Delete(Family::kApplied, pending->Copy(AlarmKey(alarm)));
  return true;
}

std::vector<MemberAttributes> ClusterRecord::members() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<MemberAttributes> members;
  for (const auto& [id, member] : members_) members.push_back(member);
  return members;
}

std::vector<Alarm> ClusterRecord::alarms(AlarmKind kind) const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Alarm> alarms;
  for (const Alarm& alarm : alarms_) {
    if (kind == AlarmKind::kNone || alarm.kind == kind) alarms.push_back(alarm);
  }
  return alarms;
}

bool ClusterRecord::Raised(AlarmKind kind) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(alarms_.begin(), alarms_.end(),
                     [kind](const Alarm& alarm) { return alarm.kind == kind; });
}

}  // namespace store
