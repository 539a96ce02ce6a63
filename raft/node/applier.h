// SPDX-License-Identifier: Apache-2.0
//
// applier.h: the apply thread's work: committed entries, in order and in batches, into the state
// machine; answers to those who wait for them; between batches, a new state below the machine.
//
// Threads: Hand from the raft thread; RunOnce on the apply thread.

#pragma once

#include <variant>
#include <vector>

#include "base/batch_queue.h"
#include "raft/core/effects.h"
#include "raft/node/answer_queue.h"
#include "raft/node/inbox.h"
#include "raft/node/ports.h"
#include "raft/node/publish_table.h"

namespace raft {

class Applier {
 public:
  Applier(NodeId self, StateMachine* machine, PublishTable* publishes, AnswerQueue* answers,
          Inbox* inbox)
      : self_(self),
        machine_(machine),
        publishes_(publishes),
        answers_(answers),
        inbox_(inbox),
        last_term_(machine->applied().term) {}

  void Hand(std::vector<EntryRef> entries) { queue_.Push(std::move(entries)); }
  void DeclareLost(const absl::Status& why) { machine_->DeclareLost(why); }
  // Once all that was handed before is applied.
  void Install(uint64_t staged) { queue_.Push(StagedSnapshot{staged, true}); }

  // Applies all that waits. False if nothing did.
  bool RunOnce();

  void Wait() { queue_.Wait(); }
  void Close() { queue_.Close(); }
  bool closed() const { return queue_.closed(); }

 private:
  using Work = std::variant<std::vector<EntryRef>, StagedSnapshot>;

  void ApplyAll(const std::vector<EntryRef>& entries);
  void ApplyWaiting();
  void ApplyBatch(const std::vector<ApplyItem>& items);
  void InstallNow(uint64_t staged);

  const NodeId self_;
  StateMachine* const machine_;
  PublishTable* const publishes_;
  AnswerQueue* const answers_;
  Inbox* const inbox_;
  // Of the last entry applied.
  Term last_term_;
  std::vector<ApplyItem> waiting_;
  size_t waiting_bytes_ = 0;
  base::BatchQueue<Work> queue_;
};

}  // namespace raft
