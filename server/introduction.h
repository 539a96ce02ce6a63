// SPDX-License-Identifier: Apache-2.0
//
// introduction.h: who a data directory is, decided. Pure: the calls are made elsewhere
// (introducer.h, introduce_service.h).
//
// A member that starts with an empty directory has no memory of what it may have promised under
// its name, so it never says by itself who it is. It founds a cluster only with a quorum of the
// initial members that have promised nothing either; a cluster that lives decides about it by its
// log.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/peer.pb.h"
#include "server/config.h"
#include "server/membership.h"

namespace server {

// What who starts makes of the answers of one round.
struct StartDecision {
  enum class Kind { kWait, kFound, kJoin };
  Kind kind = Kind::kWait;
  // kJoin: the answer that decided.
  datum::peer::IntroduceResponse answer;
  // kWait: what would help; empty if nothing is known.
  std::string why;
};

// `may_found`: --initial-cluster-state is new. `initial`: the cluster as the flags say it; its
// `self` counts as one that has promised nothing.
StartDecision DecideStart(bool may_found, const InitialCluster& initial,
                          const std::vector<datum::peer::IntroduceResponse>& answers);

// What the leader makes of a request.
struct LeaderDecision {
  enum class Kind { kAlreadyBound, kBind, kReplace, kRefuse };
  Kind kind = Kind::kRefuse;
  // Of the member that is known under these URLs.
  uint64_t member_id = 0;
  // kReplace: the new member.
  Member by;
  // kRefuse.
  std::string why;
};

struct LeaderView {
  uint64_t cluster_id = 0;
  std::string cluster_token;
  Membership membership;
  // --replace-wiped-members.
  bool replaces = true;
  std::function<bool(uint64_t id)> connected;
};

// Why a member that has founded with `founders` (a directory that is not known is empty) does not
// count as one that founds with who asks; empty if it does. Who asks may have been a quorum with
// one of them, unheard here, before it lost its directory.
std::string WhyNotFoundWith(const std::vector<Member>& founders,
                            const datum::peer::IntroduceRequest& request);

LeaderDecision DecideIntroduction(const LeaderView& view,
                                  const datum::peer::IntroduceRequest& request);

// For who asks while nobody can decide: the command that helps, with the member's id in it; empty
// if no member is known at these URLs.
std::string HelpWithoutLeader(const Membership& membership,
                              const datum::peer::IntroduceRequest& request);

// What one of the others was found to be in a round that decided nothing.
enum class Seen {
  kDown,
  kWaits,  // with an empty directory, too
  kJoins,  // as kWaits, and it would found no cluster
  kLives,
  kRefuses,  // its cluster has a leader
};
Seen SeenAs(const datum::peer::IntroduceResponse& answer);

// What those who look after the members can do about it; empty if all that helps is time.
// `others`: by the id that the flags give them. `heard_living`: once, if not in this round.
std::string WhatHelps(const std::map<uint64_t, Seen>& others, bool joins, bool heard_living);

// Whether this is a learner that is to vote once it has caught up: one that was added so, or stands
// in the place of one that voted or was to. Older logs have replacements of which only the id says
// so.
bool WaitsToVote(const Member& member, uint64_t cluster_id);

}  // namespace server
