// SPDX-License-Identifier: Apache-2.0
//
// state_check.cc: the states of all members are one function of the log; a member whose state
// differs from a quorum's, or can be read no more, serves nothing and rebuilds it.

#include <algorithm>

#include "base/canary.h"
#include "glog/logging.h"
#include "raft/core/core.h"

namespace raft {
namespace {

// So many digests are remembered: members pass the same index at different times.
constexpr size_t kDigestsMax = 64;

}  // namespace

void Core::OnStateLost() {
  if (state_lost_) return;
  state_lost_ = true;
  digests_.clear();
  Trace("has lost its state");
  if (is_leader()) OnTransferLeadership(kNobody);
}

// Leader: what `node`'s state holds at an index.
void Core::NoteDigest(NodeId node, StateDigest digest) {
  if (!is_leader() || !configuration().IsVoter(node) || digest.index <= agreed_digest_.index) {
    return;
  }
  member_digests_[digest.index][node] = digest.hash;
  FindAgreedDigest(digest.index);
  while (member_digests_.size() > kDigestsMax) member_digests_.erase(member_digests_.begin());
}

void Core::FindAgreedDigest(Index index) {
  const std::map<NodeId, uint64_t>& digests = member_digests_[index];
  for (const auto& [node, hash] : digests) {
    const bool agreed = configuration().IsQuorum([&digests, hash = hash](NodeId voter) {
      const auto found = digests.find(voter);
      return found != digests.end() && found->second == hash;
    });
    if (!agreed) continue;
    agreed_digest_ = {index, hash};
    member_digests_.erase(member_digests_.begin(), member_digests_.upper_bound(index));
    return CompareWithAgreed(agreed_digest_);
  }
}

// etcd's post-mortem of 2022: members served different values for months. Here a quorum's word
// makes the one that differs take its state from another.
void Core::CompareWithAgreed(StateDigest agreed) {
  if (state_lost_ || agreed.index == Index{} || base::Planted("digests-not-compared")) return;
  const auto own = std::find_if(digests_.begin(), digests_.end(), [&](const StateDigest& digest) {
    return digest.index == agreed.index;
  });
  if (own == digests_.end() || own->hash == agreed.hash) return;
  effects_->state_differs = true;
  OnStateLost();
}

}  // namespace raft
