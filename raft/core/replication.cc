// SPDX-License-Identifier: Apache-2.0
//
// replication.cc: the leader's side of AppendEntries: a pipeline to each peer, and the commit
// rule.

#include <algorithm>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {

void Core::SendAppends() {
  for (auto& [peer, progress] : progress_) SendAppends(peer, &progress);
}

bool Core::WindowFull(const Progress& progress) const {
  return progress.in_flight.size() >= options_.in_flight_messages_max ||
         progress.in_flight_bytes >= options_.in_flight_bytes_max;
}

// Sends what the peer may get now.
void Core::SendAppends(NodeId peer, Progress* progress) {
  if (progress->state == Progress::State::kSnapshot) return;
  if (progress->next_index <= log_.base().index) {
    // What this peer needs is no longer in the log.
    progress->BecomeSnapshot();
    return WishSnapshot(peer, progress);
  }
  if (progress->state == Progress::State::kProbe) {
    // Where the logs agree is asked without entries: they might be of no use there.
    if (!progress->probe_sent) SendPosition(peer, progress);
    return;
  }
  while (progress->next_index <= log_.last().index && !WindowFull(*progress)) {
    if (!SendEntries(peer, progress)) return;
  }
  // Nothing more to carry the news that an entry is committed.
  if (progress->commit_told < std::min(commit_index_, progress->match_index)) {
    SendPosition(peer, progress);
  }
}

// One message with entries from next_index on. False if they have to come from the disk first.
bool Core::SendEntries(NodeId peer, Progress* progress) {
  if (!log_.InMemory(progress->next_index)) {
    if (progress->fetching != progress->next_index) {
      progress->fetching = progress->next_index;
      effects_->fetches.push_back({peer, progress->next_index});
    }
    return false;
  }
  AppendEntries append;
  const Index prev = progress->next_index - 1;
  append.prev_log = {*log_.TermAt(prev), prev};
  append.leader_commit = commit_index_;
  append.entries = log_.Slice(progress->next_index, options_.append_bytes_max);
  size_t bytes = 0;
  for (const EntryRef& entry : append.entries) bytes += EntryBytes(*entry);
  const Index last = append.entries.back()->index;
  progress->Sent(last, bytes);
  progress->next_index = last + 1;
  progress->commit_told = commit_index_;
  Send(peer, std::move(append));
  return true;
}

// AppendEntries without entries: does the peer's log agree in front of next_index?
void Core::SendPosition(NodeId peer, Progress* progress) {
  const Index prev = progress->next_index - 1;
  if (prev < log_.base().index) return;
  progress->probe_sent = true;
  progress->commit_told = commit_index_;
  Send(peer, AppendEntries{{*log_.TermAt(prev), prev}, commit_index_, {}});
}

void Core::OnFetched(Fetched fetched) {
  if (fetched.peer == options_.self) return OnOwnFetched(fetched);
  auto found = progress_.find(fetched.peer);
  if (!is_leader() || found == progress_.end()) return;
  Progress& progress = found->second;
  if (progress.fetching != fetched.from) return;
  progress.fetching = Index{};
  if (progress.state != Progress::State::kReplicate) return;
  // An answer of the peer was quicker than the disk: it wants others now.
  if (progress.next_index != fetched.from) return SendAppends(fetched.peer, &progress);
  if (fetched.entries.empty()) {
    // This disk cannot give them any more; the state has them, once they are applied.
    progress.BecomeSnapshot();
    return WishSnapshot(fetched.peer, &progress);
  }
  SendFetched(fetched.peer, &progress, std::move(fetched.entries));
}

void Core::SendFetched(NodeId peer, Progress* progress, std::vector<EntryRef> entries) {
  const Index prev = progress->next_index - 1;
  // Released meanwhile.
  if (prev < log_.base().index) return SendAppends(peer, progress);
  AppendEntries append;
  append.prev_log = {*log_.TermAt(prev), prev};
  append.leader_commit = commit_index_;
  size_t bytes = 0;
  Index next = progress->next_index;
  for (const EntryRef& entry : entries) {
    // A leader's log does not change, so the disk cannot say otherwise.
    if (entry->index != next || !log_.Matches(entry->position())) return;
    bytes += EntryBytes(*entry);
    next = next + 1;
  }
  append.entries = std::move(entries);
  progress->Sent(next - 1, bytes);
  progress->next_index = next;
  progress->commit_told = commit_index_;
  Send(peer, std::move(append));
  SendAppends(peer, progress);
}

// A sign of life of a peer. Nothing if it comes from a life that is over, or from no member.
Progress* Core::HearPeer(const Envelope& envelope) {
  const auto found = progress_.find(envelope.from);
  if (found == progress_.end()) return nullptr;
  Progress& progress = found->second;
  if (base::Planted("session-ignored")) progress.session = envelope.session;
  if (envelope.session < progress.session) return nullptr;
  if (envelope.session > progress.session) {
    const bool was_heard = progress.session != Session{};
    if (was_heard) {
      progress.BeginSession(envelope.session);
    } else {
      progress.session = envelope.session;
    }
  }
  progress.last_heard = now_;
  return &progress;
}

void Core::OnAppendEntriesReply(const Envelope& envelope) {
  const auto& reply = std::get<AppendEntriesReply>(envelope.message);
  Progress* const heard = HearPeer(envelope);
  if (heard == nullptr) return;
  Progress& progress = *heard;
  if (reply.success) {
    // Later than the leader's own log: not an answer to what this leader sent.
    if (reply.match_index > log_.last().index) return;
    progress.Acknowledged(reply.match_index);
    const bool advances = reply.match_index > progress.match_index;
    if (base::Planted("match-index-falls")) progress.match_index = reply.match_index;
    if (advances) {
      progress.match_index = reply.match_index;
      progress.last_advance = now_;
      const std::optional<Term> term = log_.TermAt(reply.match_index);
      if (term && reply.match_index >= progress.acknowledged.index) {
        progress.acknowledged = {*term, reply.match_index};
        progress.acknowledged_in = progress.session;
      }
    }
    if (progress.state == Progress::State::kProbe && reply.match_index >= progress.next_index - 1) {
      progress.BecomeReplicate();
    }
    // It stands on a snapshot, or has after all what seemed to be missing.
    if (progress.state == Progress::State::kSnapshot && progress.match_index >= log_.base().index) {
      progress.BecomeReplicate();
    }
    progress.next_index = std::max(progress.next_index, progress.match_index + 1);
    if (advances) AdvanceCommit();
    SendTimeoutNowIfCaughtUp();
    if (!is_leader()) return;
    // A change of the configuration that was just committed may have ended this Progress.
    const auto still = progress_.find(envelope.from);
    if (still != progress_.end()) SendAppends(envelope.from, &still->second);
    return;
  }
  // Paper 5.3: decrement nextIndex and retry. A rejection of what is known to match, or of a
  // question that is no longer asked, is late and says nothing (Scylla 4c95277619).
  if (base::Planted("late-refusal-believed")) progress.match_index = Index{};
  if (reply.rejected_index <= progress.match_index) return;
  if (progress.state == Progress::State::kProbe &&
      reply.rejected_index != progress.next_index - 1) {
    return;
  }
  if (reply.rejected_index >= progress.next_index) return;
  if (progress.state == Progress::State::kSnapshot) return;
  progress.BecomeProbe();
  const LogPosition agrees = log_.LastPossibleMatch(reply.conflict);
  progress.next_index =
      std::max(std::min(agrees.index, reply.rejected_index - 1), progress.match_index) + 1;
  SendAppends(envelope.from, &progress);
}

// Paper, figure 2: if there exists an N > commitIndex, a majority of matchIndex[i] >= N, and
// log[N].term == currentTerm: set commitIndex = N. The leader itself counts by what it has
// persisted.
void Core::AdvanceCommit() {
  const Index reached = configuration().QuorumIndex([this](NodeId node) {
    if (base::Planted("one-voter-not-asked") && node > options_.self) return log_.last().index;
    if (base::Planted("own-entry-counts-at-once") && node == options_.self)
      return log_.last().index;
    if (node == options_.self) return persisted_index_;
    return progress_.at(node).match_index;
  });
  if (reached <= commit_index_) return;
  // Paper 5.4.2: only entries of the leader's own term are committed by counting.
  const bool own_term = log_.TermAt(reached) == current_term();
  if (!own_term && !base::Planted("commit-older-term-by-counting")) return;
  const bool first_of_term = !CommittedInOwnTerm();
  for (Index index = commit_index_ + 1; index <= reached; ++index) {
    if (log_.TermAt(index) == current_term()) {
      uncommitted_bytes_ -= EntryBytes(*log_.At(index));
    }
  }
  commit_moved_at_ = now_;
  CommitUpTo(reached);
  if (first_of_term) StartReadRoundIfDue();
  SendAppends();
  LeaveIfRemoved();
}

const char* CommitWaitName(CommitWait wait) {
  static constexpr const char* kNames[] = {"nothing",
                                           "a quorum that is connected",
                                           "its own disk",
                                           "the disks of its peers",
                                           "a snapshot on its way",
                                           "a hand-over",
                                           "its state machine",
                                           "a learner that lags",
                                           "a leader"};
  return kNames[static_cast<size_t>(wait)];
}

CommitWait Core::commit_wait() const {
  if (!is_leader()) return leader_ == kNobody ? CommitWait::kNoLeader : CommitWait::kNone;
  const auto heard = [this](NodeId node) {
    return node == options_.self ||
           progress_.at(node).last_heard > now_ - options_.election_timeout;
  };
  if (!configuration().IsQuorum(heard)) return CommitWait::kNoQuorum;
  if (DiskStalls()) return CommitWait::kOwnDisk;
  const bool waits =
      commit_index_ < log_.last().index && commit_moved_at_ + options_.election_timeout <= now_;
  if (waits) {
    if (transfer_) return CommitWait::kTransfer;
    const bool without_snapshots = configuration().IsQuorum([&](NodeId node) {
      return heard(node) &&
             (node == options_.self || progress_.at(node).state != Progress::State::kSnapshot);
    });
    return without_snapshots ? CommitWait::kPeerDisk : CommitWait::kSnapshot;
  }
  if (commit_index_ - last_applied_ > options_.apply_gap_max) return CommitWait::kApply;
  for (NodeId learner : configuration().learners()) {
    if (learner == options_.self) continue;
    const Progress& progress = progress_.at(learner);
    if (progress.match_index + options_.apply_gap_max < commit_index_) {
      return CommitWait::kLearnerLags;
    }
  }
  return CommitWait::kNone;
}

}  // namespace raft
