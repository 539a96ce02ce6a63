// SPDX-License-Identifier: Apache-2.0
//
// snapshot.cc: whole states that go to peers whose part of the log is gone, states that come, and
// the log that a flushed state makes superfluous (paper 7; thesis 5).

#include <algorithm>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {
namespace {

// A peer that stands on a snapshot and is not heard for so many election timeouts loses its claim
// on the log behind it.
constexpr int kCatchUpPatience = 10;

}  // namespace

// Never two at a time to one peer, and not again before an election timeout is over.
void Core::WishSnapshot(NodeId peer, Progress* progress) {
  if (progress->snapshot_under_way || now_ < progress->snapshot_due || state_lost_) return;
  progress->snapshot_under_way = true;
  // The snapshot is made later, so it will hold at least this.
  progress->snapshot_floor = last_applied_;
  progress->snapshot_due = now_ + options_.election_timeout;
  effects_->snapshots.push_back({peer, current_term()});
}

void Core::OnSnapshotSent(const SnapshotSent& sent) {
  const auto found = progress_.find(sent.peer);
  if (!is_leader() || found == progress_.end()) return;
  Progress& progress = found->second;
  progress.snapshot_under_way = false;
  progress.snapshot_due = now_ + options_.election_timeout;
  if (!sent.ok) return;
  progress.snapshot_floor = std::max(progress.snapshot_floor, sent.position.index);
  progress.keep_until = log_.last().index;
  if (progress.state != Progress::State::kSnapshot) return;
  // It says itself where it stands, by the answer to this question.
  progress.BecomeProbe();
  if (sent.position.index > progress.match_index && sent.position.index <= log_.last().index) {
    progress.next_index = sent.position.index + 1;
  }
  SendAppends(sent.peer, &progress);
}

// What a snapshot holds was committed, whoever sent it and however late it comes. It is wanted if
// it is ahead of what is committed here, or if this node has lost its own state and this one is
// not behind what was handed out.
void Core::OnSnapshotArrived(const SnapshotArrived& arrived) {
  const bool wanted =
      !installing_ && !is_leader() &&
      (arrived.position.index > commit_index_ || base::Planted("any-snapshot-taken") ||
       (state_lost_ && arrived.position.index >= handed_out_));
  effects_->staged.push_back({arrived.staged, wanted});
  if (wanted) {
    installing_ = true;
    Trace("installs a snapshot");
  }
}

// Paper 7: if an existing entry has the same index and term as the snapshot's last included entry,
// the entries following it are retained; else the entire log is discarded.
void Core::OnSnapshotInstalled(const SnapshotInstalled& installed) {
  installing_ = false;
  if (!installed.ok) return HandOutCommitted();
  const LogPosition position = installed.position;
  // What a snapshot holds was committed in its term, which may be news here.
  if (position.term > current_term()) BecomeFollower(position.term, kNobody);
  CHECK_GE(position.index, handed_out_);
  state_lost_ = false;
  digests_.clear();
  if (log_.Matches(position) ||
      (base::Planted("snapshot-term-not-compared") && position.index <= log_.last().index)) {
    matched_index_ = std::max(matched_index_, position.index);
  } else {
    // What was on its way to the disk is overtaken; so are answers about it.
    effects_->append.clear();
    BeginWrite();
    effects_->restart_log = position;
    for (OutstandingWrite& write : outstanding_writes_) write.last_index = Index{};
    log_.Restart(position);
    matched_index_ = position.index;
    persisted_index_ = position.index;
  }
  effects_->log_settled = position;
  // The state is durable, and with it all that it holds.
  persisted_index_ = std::max(persisted_index_, position.index);
  const bool ignored = base::Planted("snapshot-configuration-ignored");
  std::erase_if(configurations_, [&](const auto& known) {
    return (known.first <= position.index && !ignored) || known.first > log_.last().index;
  });
  if (!ignored) {
    configurations_.insert(configurations_.begin(),
                           {installed.configuration_index, installed.configuration});
  }
  commit_index_ = std::max(commit_index_, position.index);
  handed_out_ = position.index;
  last_applied_ = position.index;
  Trace("stands on a snapshot");
  if (leader_ != kNobody && leader_ != options_.self) {
    SendAfterPersist(leader_, AppendEntriesReply{true, matched_index_, Index{}, {}});
  }
  HandOutCommitted();
}

// DESIGN.md, section 5: a part of the log goes away only when the flushed applied index is past
// it; and while a peer is being sent a state, what comes behind that state stays.
void Core::OnStateFlushed(Index index) {
  Index through = std::min(index, last_applied_);
  for (const auto& [peer, progress] : progress_) {
    const bool catches_up =
        progress.match_index < progress.keep_until &&
        progress.last_heard > now_ - kCatchUpPatience * options_.election_timeout;
    if (progress.snapshot_under_way || catches_up) {
      through = std::min(through, std::max(progress.snapshot_floor, progress.match_index));
    }
  }
  if (through > log_.base().index) effects_->release_log = through;
}

void Core::OnLogReleased(LogPosition base) {
  // A snapshot may have set the log on a later place meanwhile.
  if (base.index <= log_.base().index) return;
  CHECK_LE(base.index, last_applied_);
  log_.Release(base);
  // The newest at or before the base stays: it is in force there.
  while (configurations_.size() > 1 && configurations_[1].first <= base.index) {
    configurations_.erase(configurations_.begin());
  }
}

}  // namespace raft
