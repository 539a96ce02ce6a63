// SPDX-License-Identifier: Apache-2.0
//
// no_space_alarm.h: this member's NOSPACE alarm: raised while its disk is nearly full, and cleared
// when the disk and the quota have room again, if it was raised for one of these.
//
// Threads: one, which may wait for the disk.

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "base/time.h"
#include "server/parts.h"
#include "server/quota.h"
#include "server/space_watch.h"

namespace server {

struct NoSpaceAlarmOptions {
  uint64_t member_id = 0;
  // How long the raising or clearing may take.
  base::Duration request_timeout;
};

class NoSpaceAlarm {
 public:
  // All must outlive it.
  NoSpaceAlarm(const NoSpaceAlarmOptions& options, SpaceWatch space, Replica* replica,
               const State* state, const Quota* quota)
      : options_(options),
        space_(std::move(space)),
        replica_(replica),
        state_(state),
        quota_(quota) {}

  // Looks at the disk and the quota. A leader whose disk is nearly full hands over.
  // Requires: the state knows the alarms that there are.
  void Look(base::TimePoint now);

 private:
  void LogIfChanged(bool raised);
  bool Leads() const;
  // Those whose NOSPACE alarm is raised.
  std::set<uint64_t> MembersWithoutSpace() const;
  bool OthersHaveSpace(const std::set<uint64_t>& full) const;
  // Tells the cluster.
  void Publish(bool active, base::TimePoint now);
  bool QuotaHasRoom(base::TimePoint now);

  const NoSpaceAlarmOptions options_;
  SpaceWatch space_;
  Replica* const replica_;
  const State* const state_;
  const Quota* const quota_;
  base::TimePoint hand_over_due_;
  bool logged_raised_ = false;
  // When the quota was first seen to have room again.
  std::optional<base::TimePoint> room_since_;
};

}  // namespace server
