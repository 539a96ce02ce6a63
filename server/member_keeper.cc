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
// A whole state may take longer to come, but most do not.
constexpr base::Duration kVoteWaitWorthALine = std::chrono::seconds(10);

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
  if (membership.removed.count(parts_.identity.self) > 0) removed_ = true;
  if (removed_ && !ended_) {
    ended_ = true;
    parts_.on_removed(kRemovedText);
  }
  if (status.leader == status.self) {
    LookAfterMembers(membership, now);
  } else {
    waits_to_vote_.clear();
  }
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
  if (news_.exchange(false)) parts_.set_peers(parts_.book->Peers());
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

// What a member that is to vote lacks, as far as can be seen from here.
std::string MemberKeeper::WhatLacks(const Member& member) const {
  if (!member.started()) return "it has not been started";
  if (!parts_.speaks_from(member.id)) return "it is not heard";
  if (!parts_.connected(member.id)) return "there is no connection to it";
  return "";
}

std::map<uint64_t, MemberKeeper::Wanted> MemberKeeper::WantedChanges(
    const Membership& membership) const {
  std::map<uint64_t, Wanted> wanted;
  for (const auto& [id, member] : membership.members) {
    if (member.data_dir_uuid.empty()) {
      const std::string uuid = id == parts_.identity.self ? parts_.identity.data_dir_uuid
                                                          : parts_.speaks_from(id).value_or("");
      if (uuid.empty()) continue;
      wanted[id] = {
          [id = id, uuid](const Membership& latest) { return PlanBind(latest, id, uuid); },
          absl::StrCat("member ", Who(member), " is bound to its data directory")};
    } else if (WaitsToVote(member, parts_.identity.cluster_id) && WhatLacks(member).empty()) {
      wanted[id] = {[id = id](const Membership& latest) { return PlanPromote(latest, id); },
                    absl::StrCat("member ", Who(member), " has caught up and votes")};
    }
  }
  return wanted;
}

// One change at a time, and not in a hurry; in turn, so that one that cannot be made holds up no
// other.
void MemberKeeper::LookAfterMembers(const Membership& membership, base::TimePoint now) {
  LogWhoWaits(membership, now);
  if (changing_ || now < change_due_ || membership.index == raft::Index{}) return;
  change_due_ = now + kChangePause;
  const std::map<uint64_t, Wanted> wanted = WantedChanges(membership);
  if (wanted.empty()) return;
  auto next = wanted.upper_bound(tried_last_);
  if (next == wanted.end()) next = wanted.begin();
  tried_last_ = next->first;
  Change(next->second.plan, next->second.what);
}

// Once for each: who looks at the members sees a learner, but not why.
void MemberKeeper::LogWhoWaits(const Membership& membership, base::TimePoint now) {
  std::map<uint64_t, WaitToVote> waits;
  for (const auto& [id, member] : membership.members) {
    if (!WaitsToVote(member, parts_.identity.cluster_id)) continue;
    const auto known = waits_to_vote_.find(id);
    WaitToVote& wait = waits[id];
    wait = known == waits_to_vote_.end() ? WaitToVote{now} : known->second;
    if (wait.logged || now < wait.since + kVoteWaitWorthALine) continue;
    wait.logged = true;
    const std::string lacks = WhatLacks(member);
    LOG(WARNING) << name_ << ": member " << Who(member) << " is a learner that waits to vote: "
                 << (lacks.empty() ? "its log is not near enough to the leader's" : lacks);
  }
  waits_to_vote_ = std::move(waits);
}

void MemberKeeper::LogWaits(const Membership& membership, const raft::NodeStatus& status,
                            base::TimePoint now) {
  if (status.doubtful != doubtful_) {
    doubtful_ = status.doubtful;
    LOG(WARNING) << name_
                 << (doubtful_ ? " may lack entries that were committed, as one that is new, whose "
                                 "log was damaged or whose disk lost what it had acknowledged: it "
                                 "does not vote"
                     : status.is_learner ? " lacks no entry that was committed"
                                         : " lacks no entry that was committed: it votes");
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
    if (id != status.self.value() && !parts_.connected(id)) missing.push_back(Who(member));
  }
  LOG(WARNING) << name_ << ": commits have waited for "
               << std::chrono::duration_cast<std::chrono::seconds>(now - wait_since_).count()
               << " s: for " << raft::CommitWaitName(wait_)
               << (missing.empty() ? "" : "; not connected: " + absl::StrJoin(missing, ", "));
}

}  // namespace server
