// SPDX-License-Identifier: Apache-2.0

#include "raft/node/applier.h"

#include <memory>
#include <utility>

#include "glog/logging.h"

namespace raft {
namespace {

// One batch of the state machine, at most: readers see nothing of it before its end.
constexpr size_t kBatchEntriesMax = 1024;
constexpr size_t kBatchBytesMax = 4 << 20;

AnswerQueue::Answer Answering(PublishDone done, PublishOutcome outcome) {
  auto shared = std::make_shared<PublishOutcome>(std::move(outcome));
  return [done = std::move(done), shared] { done(std::move(*shared)); };
}

}  // namespace

bool Applier::RunOnce() {
  const std::vector<std::vector<EntryRef>> handed = queue_.TakeNow();
  if (handed.empty()) return false;
  std::vector<ApplyItem> items;
  size_t bytes = 0;
  for (const std::vector<EntryRef>& entries : handed) {
    for (const EntryRef& entry : entries) {
      const bool wanted = entry->origin == self_ && publishes_->Contains(entry->publish_id);
      items.push_back({entry, wanted});
      bytes += entry->command.size();
      if (items.size() < kBatchEntriesMax && bytes < kBatchBytesMax) continue;
      ApplyBatch(items);
      items.clear();
      bytes = 0;
    }
  }
  if (!items.empty()) ApplyBatch(items);
  return true;
}

void Applier::ApplyBatch(const std::vector<ApplyItem>& items) {
  std::vector<ApplyResult> results;
  machine_->Apply(items, &results);
  CHECK_EQ(results.size(), items.size());

  std::vector<AnswerQueue::Answer> answers;
  for (size_t i = 0; i < items.size(); ++i) {
    const Entry& entry = *items[i].entry;
    if (entry.term > last_term_) {
      last_term_ = entry.term;
      for (PublishDone& done : publishes_->TakeOlderThan(entry.term)) {
        answers.push_back(Answering(std::move(done), {PublishOutcome::Kind::kDropped, {}}));
      }
    }
    if (!items[i].response_wanted) continue;
    if (PublishDone done = publishes_->Take(entry.publish_id)) {
      answers.push_back(
          Answering(std::move(done), {PublishOutcome::Kind::kApplied, std::move(results[i])}));
    }
  }
  answers_->Push(std::move(answers));
  inbox_->Push(Applied{items.back().entry->index});
}

}  // namespace raft
