// SPDX-License-Identifier: Apache-2.0

#include "store/cluster_record.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "glog/logging.h"
#include "store/keys.h"

namespace store {
namespace {

constexpr std::string_view kMemberPrefix = "member/";
constexpr std::string_view kRemovedPrefix = "removed/";
constexpr std::string_view kConfigurationName = "configuration";
constexpr std::string_view kAlarmPrefix = "alarm/";

std::string KeyOf(std::string_view prefix, uint64_t id) {
  std::string key(prefix);
  AppendFixed64(&key, id);
  return key;
}

std::string AlarmKey(Alarm alarm) {
  std::string key = KeyOf(kAlarmPrefix, alarm.member_id);
  key.push_back(static_cast<char>(alarm.kind));
  return key;
}

// Calls with what follows the prefix in each key, and with the value.
absl::Status ForEach(const Reader& state, std::string_view prefix,
                     absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) {
  const std::unique_ptr<Cursor> cursor = state.NewCursor(Family::kApplied, {});
  for (cursor->Seek(prefix); cursor->Valid(); cursor->Next()) {
    if (!cursor->key().starts_with(prefix)) break;
    RETURN_IF_ERROR(visit(cursor->key().substr(prefix.size()), cursor->value()));
  }
  return cursor->status();
}

}  // namespace

absl::Status ClusterRecord::Load(const Reader& state) {
  std::lock_guard<std::mutex> lock(mutex_);
  members_.clear();
  removed_.clear();
  alarms_.clear();
  configuration_ = raft::Configuration();
  configuration_index_ = raft::Index();
  RETURN_IF_ERROR(LoadMembers(state));
  RETURN_IF_ERROR(LoadAlarms(state));
  return LoadConfiguration(state);
}

absl::Status ClusterRecord::LoadMembers(const Reader& state) {
  RETURN_IF_ERROR(ForEach(state, kMemberPrefix, [&](std::string_view rest, std::string_view value) {
    Member member;
    if (rest.size() != 8 || !member.ParseFromArray(value.data(), static_cast<int>(value.size())) ||
        member.id() != DecodeFixed64(rest.data())) {
      return absl::DataLossError("a member's record cannot be read");
    }
    members_[member.id()] = std::move(member);
    return absl::OkStatus();
  }));
  return ForEach(state, kRemovedPrefix, [&](std::string_view rest, std::string_view) {
    if (rest.size() != 8) return absl::DataLossError("a removed member's record is damaged");
    removed_.insert(DecodeFixed64(rest.data()));
    return absl::OkStatus();
  });
}

absl::Status ClusterRecord::LoadAlarms(const Reader& state) {
  return ForEach(state, kAlarmPrefix, [&](std::string_view rest, std::string_view) {
    if (rest.size() != 9) return absl::DataLossError("an alarm's record has a wrong length");
    alarms_.insert({DecodeFixed64(rest.data()), static_cast<AlarmKind>(rest[8])});
    return absl::OkStatus();
  });
}

absl::Status ClusterRecord::LoadConfiguration(const Reader& state) {
  absl::Status decoded;
  const auto on_record = [&](std::string_view bytes) {
    const auto command =
        bytes.size() < 8 ? std::nullopt : raft::DecodeConfigurationCommand(bytes.substr(8));
    if (!command) {
      decoded = absl::DataLossError("the configuration's record cannot be read");
      return;
    }
    configuration_ = command->configuration;
    configuration_index_ = raft::Index(DecodeFixed64(bytes.data()));
  };
  RETURN_IF_ERROR(state.Get(Family::kApplied, kConfigurationName, on_record).status());
  return decoded;
}

void ClusterRecord::TakeFrom(ClusterRecord* other) {
  std::scoped_lock lock(mutex_, other->mutex_);
  members_ = std::move(other->members_);
  removed_ = std::move(other->removed_);
  configuration_ = std::move(other->configuration_);
  configuration_index_ = other->configuration_index_;
  alarms_ = std::move(other->alarms_);
}

void ClusterRecord::SetConfiguration(const raft::Configuration& configuration, raft::Index index,
                                     PendingWrites* pending) {
  std::string record;
  AppendFixed64(&record, index.value());
  record += raft::EncodeConfigurationCommand(configuration, "");
  pending->Put(Family::kApplied, kConfigurationName, pending->Copy(record));
  std::lock_guard<std::mutex> lock(mutex_);
  configuration_ = configuration;
  configuration_index_ = index;
}

void ClusterRecord::SetMember(Member member, PendingWrites* pending) {
  const uint64_t id = member.id();
  pending->Put(Family::kApplied, pending->Copy(KeyOf(kMemberPrefix, id)),
               pending->Copy(member.SerializeAsString()));
  std::lock_guard<std::mutex> lock(mutex_);
  members_[id] = std::move(member);
}

void ClusterRecord::RemoveMember(uint64_t id, PendingWrites* pending) {
  pending->Delete(Family::kApplied, pending->Copy(KeyOf(kMemberPrefix, id)));
  pending->Put(Family::kApplied, pending->Copy(KeyOf(kRemovedPrefix, id)), {});
  // What it raised nobody could clear any more: its disk would hold up the others for ever.
  for (const Alarm& alarm : alarms(AlarmKind::kNone)) {
    if (alarm.member_id == id) Disarm(alarm, pending);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  CHECK_EQ(members_.erase(id), 1u) << id;
  removed_.insert(id);
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

Membership ClusterRecord::membership() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Membership membership;
  for (const auto& [id, member] : members_) membership.members.push_back(member);
  membership.removed = removed_;
  membership.configuration = configuration_;
  membership.index = configuration_index_;
  return membership;
}

std::optional<Member> ClusterRecord::member(uint64_t id) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = members_.find(id);
  if (found == members_.end()) return std::nullopt;
  return found->second;
}

bool ClusterRecord::WasRemoved(uint64_t id) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return removed_.contains(id);
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
