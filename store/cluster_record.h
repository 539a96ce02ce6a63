// SPDX-License-Identifier: Apache-2.0
//
// cluster_record.h: what members have published of themselves, and the alarms that are raised.
//
// Family `applied`: "member/" and the member's id, 8 bytes big endian -> membershippb.Attributes;
// "alarm/", the id and the alarm's type, 1 byte -> nothing.
// Threads: changes from the apply thread; reads from any.

#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "store/pending_writes.h"

namespace store {

struct MemberAttributes {
  uint64_t id = 0;
  std::string name;
  std::vector<std::string> client_urls;
};

enum class AlarmKind : uint8_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };

struct Alarm {
  uint64_t member_id = 0;
  AlarmKind kind = AlarmKind::kNone;
  friend auto operator<=>(const Alarm&, const Alarm&) = default;
};

class ClusterRecord {
 public:
  // Errors: what the engine's reads return, DataLoss.
  absl::Status Load(const Reader& state);

  void SetMember(MemberAttributes attributes, PendingWrites* pending);
  // False if there was nothing to do.
  bool Raise(Alarm alarm, PendingWrites* pending);
  bool Disarm(Alarm alarm, PendingWrites* pending);

  // By id.
  std::vector<MemberAttributes> members() const;
  // Of this kind; all of them for kNone.
  std::vector<Alarm> alarms(AlarmKind kind) const;
  bool Raised(AlarmKind kind) const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<uint64_t, MemberAttributes> members_;
  std::set<Alarm> alarms_;
};

}  // namespace store
