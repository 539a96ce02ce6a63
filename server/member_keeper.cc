// SPDX-License-Identifier: Apache-2.0

#include "server/member_keeper.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "server/errors.h"
#include "server/introduction.h"

namespace server {
namespace {

constexpr base::Duration kChangeTimeout = std::chrono::seconds(5);
constexpr base::Duration kChangePause = std::chrono::milliseconds(300);
// Shorter waits are the disk's and the network's everyday.
constexpr base::Duration kWaitWorthALine = std::chrono::seconds(2);
constexpr base::Duration kWaitLinePause = std::chrono::seconds(10);

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

std::string Who(const Member& member) {
  return absl::StrCat(member.name, member.name.empty() ? "" : " ", "(", Hex(member.id), ")");
}

}  // namespace

void MemberKeeper::OnRefused(const std::string& why) {
  if (why == kRemovedText) removed_ = true;
}

void MemberKeeper::Look(base::TimePoint now) {
  const Membership membership = parts_.state->membership();
  FollowMembership(membership);
  const raft::NodeStatus status = parts_.replica->status();
  parts_.transfers->Look(status, now);
  if (membership.removed.count(parts_.peers->identity().self) > 0) removed_ = true;
  if (removed_ && !ended_) {
    ended_ = true;
    parts_.on_removed(kRemovedText);
  }
  if (status.leader == status.self) LookAfterMembers(membership, now);
  LogWaits(membership, status, now);
}

void MemberKeeper::FollowMembership(const Membership& membership) {
  if (membership.index != followed_) {
    followed_ = membership.index;
    parts_.book->SetApplied(membership);
    parts_.on_configuration(membership);
    std::vector<std::string> names;
    for (const auto& [id, member] : membership.members) {
      names.push_back(absl::StrCat(Who(member), member.is_learner ? " learns" : "",
                                   member.data_dir_uuid.empty() ? ", not bound" : ""));
    }
    LOG(INFO) << name_ << ": the members as of entry " << membership.index << ": "
              << absl::StrJoin(names, ", ");
    news_ = true;
  }
  if (news_.exchange(false)) parts_.peers->SetPeers(parts_.book->Peers());
}

void MemberKeeper::Change(Plan plan, std::string what) {
  changing_ = true;
  parts_.changer->Change(
      parts_.clock->Now() + kChangeTimeout, std::move(plan),
      [this, what = std::move(what)](const absl::Status& status, const std::string&) {
        if (status.ok()) {
          LOG(INFO) << name_ << ": " << what;
        } else if (status != ErrorStatus(WireError::kLearnerNotReady)) {
          LOG(WARNING) << name_ << ": " << what << ", not yet: " << status.message();
        }
        changing_ = false;
      });
}

// One change at a time, and not in a hurry.
void MemberKeeper::LookAfterMembers(const Membership& membership, base::TimePoint now) {
  if (changing_ || now < change_due_ || membership.index == raft::Index{}) return;
  change_due_ = now + kChangePause;
  const PeerIdentity& self = parts_.peers->identity();
  for (const auto& [id, member] : membership.members) {
    if (!member.data_dir_uuid.empty()) continue;
    const std::string uuid =
        id == self.self ? self.data_dir_uuid : parts_.peers->IncomingUuid(id).value_or("");
    if (uuid.empty()) continue;
    return Change([id = id, uuid](const Membership& latest) { return PlanBind(latest, id, uuid); },
                  absl::StrCat("member ", Who(member), " is bound to its data directory"));
  }
  for (const auto& [id, member] : membership.members) {
    if (!WaitsToVote(member, self.cluster_id) || !member.started()) continue;
    return Change([id = id](const Membership& latest) { return PlanPromote(latest, id); },
                  absl::StrCat("member ", Who(member), " has caught up and votes"));
  }
}

void MemberKeeper::LogWaits(const Membership& membership, const raft::NodeStatus& status,
                            base::TimePoint now) {
  if (status.doubtful != doubtful_) {
    doubtful_ = status.doubtful;
    LOG(WARNING) << name_
                 << (doubtful_ ? " is in doubt about its log: it does not vote"
                               : " is whole again: its log is the leader's, it votes");
  }
  if (status.state_lost != state_lost_) {
    state_lost_ = status.state_lost;
    LOG(WARNING) << name_
                 << (state_lost_
                         ? " has lost its state: it serves nothing and asks for the leader's"
                         : " has a whole state again and serves");
  }
  if (status.commit_wait != wait_) {
    if (wait_logged_) {
      LOG(INFO) << name_ << ": entries are committed again; it was for "
                << raft::CommitWaitName(wait_);
    }
    wait_ = status.commit_wait;
    wait_since_ = now;
    wait_log_due_ = now + kWaitWorthALine;
    wait_logged_ = false;
  }
  if (wait_ == raft::CommitWait::kNone || now < wait_log_due_) return;
  wait_log_due_ = now + kWaitLinePause;
  wait_logged_ = true;
  std::vector<std::string> missing;
  for (const auto& [id, member] : membership.members) {
    if (id != status.self.value() && !parts_.peers->ConnectedSince(id))
      missing.push_back(Who(member));
  }
  LOG(WARNING) << name_ << ": for "
               << std::chrono::duration_cast<std::chrono::seconds>(now - wait_since_).count()
               << " s: " << raft::CommitWaitName(wait_)
               << (missing.empty() ? "" : "; not connected: " + absl::StrJoin(missing, ", "));
}

}  // namespace server
