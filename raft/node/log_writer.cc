// SPDX-License-Identifier: Apache-2.0

#include "raft/node/log_writer.h"

#include <iterator>
#include <utility>

namespace raft {

void LogWriter::Write(Effects* effects) {
  if (effects->write == WriteNumber{} && effects->send_after_persist.empty() &&
      !effects->release_log && !effects->log_settled) {
    return;
  }
  queue_.Push({effects->write, effects->hard_state, effects->restart_log, effects->log_settled,
               std::move(effects->append), std::move(effects->send_after_persist),
               effects->release_log});
}

// Entries that a later write replaces need not be written at all: nobody was told of them.
void LogWriter::Join(std::vector<EntryRef> append, std::vector<EntryRef>* joined) const {
  if (append.empty()) return;
  while (!joined->empty() && joined->back()->index >= append.front()->index) joined->pop_back();
  joined->insert(joined->end(), std::make_move_iterator(append.begin()),
                 std::make_move_iterator(append.end()));
}

bool LogWriter::RunOnce() {
  std::vector<Job> jobs = queue_.TakeNow();
  if (jobs.empty()) return false;

  std::optional<HardState> hard_state;
  std::optional<LogPosition> restart_log, log_settled;
  std::vector<EntryRef> entries;
  WriteNumber last_write;
  std::optional<Index> release_log;
  for (Job& job : jobs) {
    if (job.hard_state) hard_state = job.hard_state;
    if (job.log_settled) log_settled = job.log_settled;
    if (job.release_log) release_log = job.release_log;
    if (job.restart_log) {
      restart_log = job.restart_log;
      entries.clear();
    }
    Join(std::move(job.append), &entries);
    if (job.write != WriteNumber{}) last_write = job.write;
  }
  // A term is durable before the first entry of it: else a restart could forget the term and
  // take entries of an older leader over it.
  if (hard_state) promises_->SaveHardState(*hard_state);
  if (restart_log) log_->Restart(*restart_log);
  if (!entries.empty()) {
    log_->Append(entries);
    log_->Sync();
  }
  // Behind the sync, for the place itself may be among the entries, and before anything behind it
  // is acknowledged: should the log be lost later, that is a loss.
  if (log_settled) promises_->LogSettled(*log_settled);
  for (const Job& job : jobs) sender_->Send(job.send_after_persist);
  if (last_write != WriteNumber{}) inbox_->PushReport(Persisted{last_write});
  if (release_log) inbox_->PushReport(LogReleased{log_->Release(*release_log)});
  return true;
}

}  // namespace raft
