// SPDX-License-Identifier: Apache-2.0

#include "raft/node/read_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace raft {
void ReadTable::Answer(WaitingRead read, ReadOutcome outcome,
                       std::vector<AnswerQueue::Answer>* answers) {
  --size_;
  answers->push_back([done = std::move(read.done), outcome] { done(outcome); });
}

void ReadTable::ExpireFrom(std::vector<WaitingRead>* reads, base::TimePoint now,
                           ReadOutcome outcome, std::vector<AnswerQueue::Answer>* answers) {
  const auto expired = std::stable_partition(
      reads->begin(), reads->end(), [now](const WaitingRead& read) { return read.deadline > now; });
  for (auto read = expired; read != reads->end(); ++read) {
    Answer(std::move(*read), outcome, answers);
  }
  reads->erase(expired, reads->end());
}

void ReadTable::Asked(ReadId id, base::TimePoint now) {
  asked_[id] = {now, std::exchange(waiting_, {})};
}

void ReadTable::WaitAgain(std::vector<WaitingRead> reads) {
  waiting_.insert(waiting_.end(), std::make_move_iterator(reads.begin()),
                  std::make_move_iterator(reads.end()));
}

void ReadTable::OnGrant(const ReadGrant& grant) {
  auto found = asked_.find(grant.id);
  if (found == asked_.end()) return;
  std::vector<WaitingRead> reads = std::move(found->second.reads);
  asked_.erase(found);
  if (grant.granted) {
    confirmed_.emplace(grant.read_index, std::move(reads));
  } else {
    WaitAgain(std::move(reads));
  }
}

void ReadTable::AskAllAgain() {
  for (auto& [id, ask] : asked_) WaitAgain(std::move(ask.reads));
  asked_.clear();
}

void ReadTable::AskStaleAgain(base::TimePoint asked_before) {
  for (auto at = asked_.begin(); at != asked_.end();) {
    if (at->second.asked_at < asked_before) {
      WaitAgain(std::move(at->second.reads));
      at = asked_.erase(at);
    } else {
      ++at;
    }
  }
}

void ReadTable::TakeReady(Index applied, std::vector<AnswerQueue::Answer>* answers) {
  const auto end = confirmed_.upper_bound(applied);
  for (auto at = confirmed_.begin(); at != end; ++at) {
    for (WaitingRead& read : at->second) {
      Answer(std::move(read), ReadOutcome::kReady, answers);
    }
  }
  confirmed_.erase(confirmed_.begin(), end);
}

void ReadTable::TakeExpired(base::TimePoint now, bool leader_known,
                            std::vector<AnswerQueue::Answer>* answers) {
  ExpireFrom(&waiting_, now, leader_known ? ReadOutcome::kTimedOut : ReadOutcome::kNoLeader,
             answers);
  for (auto& [id, ask] : asked_) {
    ExpireFrom(&ask.reads, now, ReadOutcome::kTimedOut, answers);
  }
  std::erase_if(asked_, [](const auto& item) { return item.second.reads.empty(); });
  for (auto& [index, reads] : confirmed_) {
    ExpireFrom(&reads, now, ReadOutcome::kTimedOut, answers);
  }
}

void ReadTable::TakeAll(ReadOutcome outcome, std::vector<AnswerQueue::Answer>* answers) {
  AskAllAgain();
  for (auto& [index, reads] : confirmed_) WaitAgain(std::move(reads));
  confirmed_.clear();
  for (WaitingRead& read : waiting_) Answer(std::move(read), outcome, answers);
  waiting_.clear();
}

}  // namespace raft
