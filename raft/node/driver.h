// SPDX-License-Identifier: Apache-2.0
//
// driver.h: the raft thread's work: drains the inbox, steps the core, does what it asks.
//
// Everything that waits is stepped into one Effects, so what came together is written with one
// fsync and answered together. The same driver runs on the raft thread of a real node and under
// virtual time in the simulator.
//
// Threads: RunOnce, StopAll, next_due: the raft thread. status: any.

#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "raft/core/core.h"
#include "raft/node/answer_queue.h"
#include "raft/node/applier.h"
#include "raft/node/inbox.h"
#include "raft/node/log_writer.h"
#include "raft/node/node.h"
#include "raft/node/publish_table.h"
#include "raft/node/read_table.h"
#include "raft/node/sender.h"

namespace raft {

class Driver {
 public:
  // What the driver works with; all outlive it.
  struct Parts {
    Inbox* inbox;
    Sender* sender;
    LogStore* log;
    LogWriter* log_writer;
    Applier* applier;
    PublishTable* publishes;
    AnswerQueue* answers;  // of publishes, and refusals of reads
    AnswerQueue* reads;    // of reads that may be served: each may go on to a long scan
    AnswerQueue* fetches;  // of log entries from the disk, one a peer that is still wanted
    SnapshotTransport* snapshots;
  };

  Driver(const NodeOptions& options, NodeStart start, const Parts& parts, base::TimePoint now,
         std::function<void(const NodeStatus&)> on_status);

  // One turn: all that waits in the inbox, then what is due.
  void RunOnce(base::TimePoint now);

  // When RunOnce must be called even if nothing comes.
  base::TimePoint next_due() const;

  // Ends everything that waits: publishes as unknown, reads as stopped.
  void StopAll();

  NodeStatus status() const;
  const Core& core() const { return core_; }
  // Lines of the core's trace, and a look at each step; for the log and for tests.
  void set_trace(std::function<void(const std::string&)> trace) {
    core_.set_trace(std::move(trace));
  }
  void set_on_step(std::function<void(const CoreView& before, const Effects&)> on_step) {
    on_step_ = std::move(on_step);
  }

 private:
  void Take(InboxItem item);
  void Hold(WaitingPublish publish);
  void StepPublishes();
  void StepReads();
  void Step(Event event);
  void Do(Effects effects);
  void Expire();
  void UpdateStatus();
  void LogHandOver() const;
  void NoticeStandstill(base::Duration late);
  void HandOutAnswers();
  void Refuse(const RefusedPublish& refused);
  void FetchFromDisk(const Fetch& fetch);
  void SendSnapshot(const SnapshotWish& wish);
  void EndIfDiskIsDead() const;
  void Answer(PublishDone done, PublishOutcome::Kind kind);

  const NodeOptions options_;
  const Parts parts_;
  Core core_;
  std::function<void(const NodeStatus&)> on_status_;
  std::function<void(const CoreView&, const Effects&)> on_step_;

  base::TimePoint now_;
  base::TimePoint expire_due_;
  Effects effects_;
  std::vector<AnswerQueue::Answer> answers_;
  std::vector<AnswerQueue::Answer> read_answers_;

  // Publishes that are not numbered yet: no leader is known.
  std::vector<WaitingPublish> held_publishes_;
  size_t held_bytes_ = 0;
  ReadTable reads_;
  uint64_t next_id_;  // of publishes and reads; begins with the boot count

  mutable std::mutex status_mutex_;
  NodeStatus status_;
};

}  // namespace raft
