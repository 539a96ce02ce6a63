// SPDX-License-Identifier: Apache-2.0
//
// log_writer.h: the log thread's work.
//
// Joins the writes that wait, makes them durable with one fsync, lets the promises go that
// depend on them, and reports a Persisted event. Order in = order out. Frees what the log does not
// need any more.
//
// Threads: Write from the raft thread; RunOnce on the log thread.
// Errors:  none. A write that the disk refuses ends the process (DESIGN.md, rule 5).

#pragma once

#include <optional>
#include <vector>

#include "base/batch_queue.h"
#include "raft/core/effects.h"
#include "raft/node/inbox.h"
#include "raft/node/ports.h"
#include "raft/node/sender.h"

namespace raft {

class LogWriter {
 public:
  LogWriter(LogStore* log, PromiseStore* promises, Sender* sender, Inbox* inbox)
      : log_(log), promises_(promises), sender_(sender), inbox_(inbox) {}

  // Takes the durable part of *effects and its promises.
  void Write(Effects* effects);

  // Does all that waits. False if nothing did.
  bool RunOnce();

  void Wait() { queue_.Wait(); }
  void Close() { queue_.Close(); }
  bool closed() const { return queue_.closed(); }

 private:
  struct Job {
    WriteNumber write;
    std::optional<HardState> hard_state;
    std::optional<LogPosition> restart_log;
    std::optional<LogPosition> log_settled;
    std::vector<EntryRef> append;
    std::vector<Envelope> send_after_persist;
    std::optional<Index> release_log;
  };
  void Join(std::vector<EntryRef> append, std::vector<EntryRef>* joined) const;

  LogStore* const log_;
  PromiseStore* const promises_;
  Sender* const sender_;
  Inbox* const inbox_;
  base::BatchQueue<Job> queue_;
};

}  // namespace raft
