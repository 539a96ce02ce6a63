// SPDX-License-Identifier: Apache-2.0

#include "raft/node/applier.h"

#include <memory>
#include <utility>
#include <variant>

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
  std::vector<Work> handed = queue_.TakeNow();
  if (handed.empty()) return false;
  for (const Work& work : handed) {
    if (const auto* entries = std::get_if<std::vector<EntryRef>>(&work)) {
      ApplyAll(*entries);
    } else {
      ApplyWaiting();
      InstallNow(std::get<StagedSnapshot>(work).staged);
    }
  }
  ApplyWaiting();
  return true;
}

void Applier::ApplyAll(const std::vector<EntryRef>& entries) {
  for (const EntryRef& entry : entries) {
    const bool wanted = entry->origin == self_ && publishes_->Contains(entry->publish_id);
    waiting_.push_back({entry, wanted});
    waiting_bytes_ += entry->command.size();
    if (waiting_.size() >= kBatchEntriesMax || waiting_bytes_ >= kBatchBytesMax) ApplyWaiting();
  }
}

void Applier::ApplyWaiting() {
  if (!waiting_.empty()) ApplyBatch(waiting_);
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Applier::ApplyBatch(const std::vector<ApplyItem>& items) {
  std::vector<ApplyResult> results;
  machine_->Apply(items, &results);
  std::vector<AnswerQueue::Answer> answers;
  if (machine_->lost()) {
    // Committed, but not applied here: who waits here cannot be told what came of it.
    for (const ApplyItem& item : items) {
      if (!item.response_wanted) continue;
      if (PublishDone done = publishes_->Take(item.entry->publish_id)) {
        answers.push_back(Answering(std::move(done), {PublishOutcome::Kind::kUnknown, {}}));
      }
    }
    answers_->Push(std::move(answers));
    return inbox_->PushReport(StateLost{});
  }
  CHECK_EQ(results.size(), items.size());

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
  inbox_->PushReport(Applied{items.back().entry->index, machine_->digest()});
}

void Applier::InstallNow(uint64_t staged) {
  const absl::StatusOr<InstalledState> installed = machine_->Install(staged);
  if (!installed.ok()) {
    LOG(ERROR) << "a snapshot could not be installed: " << installed.status().message();
    return inbox_->PushReport(SnapshotInstalled{});
  }
  last_term_ = installed->position.term;
  // What waits here may lie in the state that came, or not; nobody can tell.
  std::vector<AnswerQueue::Answer> answers;
  for (PublishDone& done : publishes_->TakeAll()) {
    answers.push_back(Answering(std::move(done), {PublishOutcome::Kind::kUnknown, {}}));
  }
  answers_->Push(std::move(answers));
  inbox_->PushReport(SnapshotInstalled{true, installed->position, installed->configuration,
                                       installed->configuration_index});
}

}  // namespace raft
