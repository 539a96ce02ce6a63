// SPDX-License-Identifier: Apache-2.0
//
// cluster_record.h: who belongs to the cluster, who never will again, and the alarms.
//
// Family `applied`, ids 8 bytes big endian:
//   "member/" id           datum.membership.Member
//   "removed/" id          nothing
//   "configuration"        | index of its entry 8 | the entry's configuration, without payload |
//   "alarm/" id, type 1    nothing
// Threads: changes from the apply thread; reads from any.

#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/membership_change.pb.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "store/pending_writes.h"

namespace store {

using Member = datum::membership::Member;

enum class AlarmKind : uint8_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };

struct Alarm {
  uint64_t member_id = 0;
  AlarmKind kind = AlarmKind::kNone;
  friend auto operator<=>(const Alarm&, const Alarm&) = default;
};

// All of one moment.
struct Membership {
  // By id.
  std::vector<Member> members;
  // Ids that were removed; they never come back.
  std::set<uint64_t> removed;
  // The newest configuration applied, and the index of its entry; 0: none yet.
  raft::Configuration configuration;
  raft::Index index;
};

class ClusterRecord {
 public:
  // Forgets what was known. Errors: what the engine's reads return, DataLoss.
  absl::Status Load(const Reader& state);
  // Becomes what `other` is.
  void TakeFrom(ClusterRecord* other);

  void SetConfiguration(const raft::Configuration& configuration, raft::Index index,
                        PendingWrites* pending);
  // Adds or replaces.
  void SetMember(Member member, PendingWrites* pending);
  // Requires: it is a member.
  void RemoveMember(uint64_t id, PendingWrites* pending);
  // False if there was nothing to do.
  bool Raise(Alarm alarm, PendingWrites* pending);
  bool Disarm(Alarm alarm, PendingWrites* pending);

  Membership membership() const;
  std::optional<Member> member(uint64_t id) const;
  bool WasRemoved(uint64_t id) const;
  // Of this kind; all of them for kNone.
  std::vector<Alarm> alarms(AlarmKind kind) const;
  bool Raised(AlarmKind kind) const;

 private:
  absl::Status LoadMembers(const Reader& state);
  absl::Status LoadAlarms(const Reader& state);
  absl::Status LoadConfiguration(const Reader& state);

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<uint64_t, Member> members_;
  std::set<uint64_t> removed_;
  raft::Configuration configuration_;
  raft::Index configuration_index_;
  std::set<Alarm> alarms_;
};

}  // namespace store
