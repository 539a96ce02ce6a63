// SPDX-License-Identifier: Apache-2.0
//
// upkeep.h: what must be done now and then, off every path: compaction, flushes, the next log
// segment, the log that a flush made superfluous, and a look at how full the disk is.
//
// Threads: one, which may wait for the disk.

#pragma once

#include <atomic>

#include "base/time.h"
#include "raft/node/node.h"
#include "server/auto_compaction.h"
#include "server/compaction_waiters.h"
#include "server/config.h"
#include "server/no_space_alarm.h"
#include "server/storage.h"

namespace server {

class Upkeep {
 public:
  // All must outlive it.
  Upkeep(const Config& config, Storage* storage, raft::Node* node, NoSpaceAlarm* alarm,
         CompactionWaiters* compactions);

  // The state has caught up with what was committed when this member started: only now does it
  // know which alarms there are. Threads: any.
  void StateIsCurrent() { state_is_current_ = true; }

  // One round. Returns how long the next one may wait.
  base::Duration Once(base::TimePoint now);

 private:
  void ReleaseLog();
  // What nobody compacts by hand.
  void CompactIfDue(base::TimePoint now);

  const base::Duration request_timeout_;
  Storage* const storage_;
  raft::Node* const node_;
  CompactionWaiters* const compactions_;
  NoSpaceAlarm* const alarm_;
  AutoCompaction auto_compaction_;
  std::atomic<bool> state_is_current_{false};
  base::TimePoint look_due_;
  base::TimePoint space_look_due_;
};

}  // namespace server
