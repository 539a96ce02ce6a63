// SPDX-License-Identifier: Apache-2.0

#include "server/introduction.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha1.h"

namespace server {
namespace {

using datum::peer::IntroduceRequest;
using datum::peer::IntroduceResponse;

constexpr char kQuorumLostPage[] = "docs/operations/backup.md, \"A quorum is lost for good\"";

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

uint64_t ReplacementId(std::vector<std::string> peer_urls, uint64_t cluster_id,
                       const std::string& uuid, bool of_learner) {
  std::sort(peer_urls.begin(), peer_urls.end());
  const auto digest = base::Sha1(absl::StrCat(absl::StrJoin(peer_urls, ""), Hex(cluster_id), uuid,
                                              of_learner ? "learner" : "voter"));
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id = id << 8 | digest[i];
  return id;
}

std::string HowToReplace(const Member& member) {
  return absl::StrCat("etcdctl member remove ", Hex(member.id), " && etcdctl member add ",
                      member.name, " --peer-urls=", absl::StrJoin(member.peer_urls, ","),
                      ", then start with --initial-cluster-state=existing");
}

LeaderDecision Refuse(std::string why) {
  LeaderDecision decision;
  decision.why = std::move(why);
  return decision;
}

bool HasUrlOf(const Member& member, const IntroduceRequest& request) {
  return std::any_of(request.peer_urls().begin(), request.peer_urls().end(),
                     [&member](const std::string& url) {
                       return std::count(member.peer_urls.begin(), member.peer_urls.end(), url) > 0;
                     });
}

// More than half of the voters besides `id` are connected.
bool OthersHealthy(const LeaderView& view, uint64_t id) {
  size_t others = 0;
  size_t connected = 0;
  for (const auto& [other, member] : view.membership.members) {
    if (other == id || member.is_learner) continue;
    ++others;
    connected += view.connected(other) ? 1 : 0;
  }
  return connected > others / 2;
}

LeaderDecision DecideReplacement(const LeaderView& view, const Member& lost,
                                 const IntroduceRequest& request) {
  const std::string what = absl::StrCat("member ", Hex(lost.id), " (", lost.name,
                                        ") belongs to another data directory than the one that "
                                        "starts under its name");
  if (!view.replaces) {
    return Refuse(absl::StrCat(what,
                               ", and --replace-wiped-members is off. If that directory is "
                               "lost for good: ",
                               HowToReplace(lost)));
  }
  if (view.connected(lost.id)) {
    return Refuse(absl::StrCat(what, ", and the member is running there"));
  }
  if (!OthersHealthy(view, lost.id)) {
    return Refuse(absl::StrCat(what,
                               "; it is replaced once a quorum of the others is healthy. By "
                               "hand: ",
                               HowToReplace(lost)));
  }
  LeaderDecision decision;
  decision.kind = LeaderDecision::Kind::kReplace;
  decision.member_id = lost.id;
  decision.by.peer_urls = lost.peer_urls;
  decision.by.name = lost.name;
  decision.by.is_learner = true;
  decision.by.votes_when_ready = !lost.is_learner || WaitsToVote(lost, view.cluster_id);
  decision.by.data_dir_uuid = request.data_dir_uuid();
  decision.by.id = ReplacementId(lost.peer_urls, view.cluster_id, request.data_dir_uuid(),
                                 !decision.by.votes_when_ready);
  return decision;
}

}  // namespace

StartDecision DecideStart(bool may_found, const InitialCluster& initial,
                          const std::vector<IntroduceResponse>& answers) {
  StartDecision decision;
  std::set<uint64_t> founding = {initial.self};
  bool somebody_lives = false;
  for (const IntroduceResponse& answer : answers) {
    const bool bound = answer.outcome() == IntroduceResponse::BOUND ||
                       answer.outcome() == IntroduceResponse::REPLACED;
    if (bound) {
      decision.kind = StartDecision::Kind::kJoin;
      decision.answer = answer;
      return decision;
    }
    if (!answer.why().empty()) decision.why = answer.why();
    if (answer.state() == IntroduceResponse::LIVING) {
      somebody_lives = true;
    } else if (answer.cluster_id() == initial.cluster_id &&
               answer.outcome() != IntroduceResponse::REFUSED) {
      founding.insert(answer.answerer());
    }
  }
  size_t initial_founders = 0;
  for (const InitialMember& member : initial.members) initial_founders += founding.count(member.id);
  if (may_found && !somebody_lives && initial_founders > initial.members.size() / 2) {
    decision.kind = StartDecision::Kind::kFound;
  }
  return decision;
}

std::string WhyNotFoundWith(const std::vector<Member>& founders, const IntroduceRequest& request) {
  for (const Member& founder : founders) {
    if (!HasUrlOf(founder, request)) continue;
    if (founder.data_dir_uuid == request.data_dir_uuid()) return "";
    return absl::StrCat("this cluster was founded ",
                        founder.data_dir_uuid.empty() ? "without " : "with ", founder.name,
                        founder.data_dir_uuid.empty() ? "" : " in another data directory",
                        ", and may live: it is taken in once a quorum of the others answers");
  }
  return "";
}

LeaderDecision DecideIntroduction(const LeaderView& view, const IntroduceRequest& request) {
  if (request.cluster_id() != 0 && request.cluster_id() != view.cluster_id) {
    return Refuse(absl::StrCat("this is cluster ", Hex(view.cluster_id), ", but the flags of ",
                               request.name(), " are those of cluster ", Hex(request.cluster_id()),
                               "; if it is to be a member of this one: "
                               "--initial-cluster-state=existing"));
  }
  if (request.cluster_token() != view.cluster_token) {
    return Refuse(absl::StrCat("the cluster's --initial-cluster-token is not '",
                               request.cluster_token(), "'"));
  }
  const std::vector<std::string> urls(request.peer_urls().begin(), request.peer_urls().end());
  const Member* member = view.membership.FindByUrls(urls);
  if (member == nullptr || (member->started() && member->name != request.name())) {
    return Refuse(absl::StrCat("no member of cluster ", Hex(view.cluster_id), " is called ",
                               request.name(), " at ", absl::StrJoin(urls, ","),
                               "; to add it: etcdctl member add ", request.name(),
                               " --peer-urls=", absl::StrJoin(urls, ",")));
  }
  if (!member->data_dir_uuid.empty() && member->data_dir_uuid != request.data_dir_uuid()) {
    return DecideReplacement(view, *member, request);
  }
  LeaderDecision decision;
  decision.kind = member->data_dir_uuid.empty() ? LeaderDecision::Kind::kBind
                                                : LeaderDecision::Kind::kAlreadyBound;
  decision.member_id = member->id;
  return decision;
}

std::string HelpWithoutLeader(const Membership& membership, const IntroduceRequest& request) {
  const Member* member =
      membership.FindByUrls({request.peer_urls().begin(), request.peer_urls().end()});
  if (member == nullptr) return "";
  return absl::StrCat(
      ". Once there is a leader it takes member ", Hex(member->id), " (", request.name(),
      ") in again by itself; by hand, then: ", HowToReplace(*member),
      ". If half of the voters or more have lost their directories, none comes: ", kQuorumLostPage);
}

Seen SeenAs(const IntroduceResponse& answer) {
  if (answer.waits()) return answer.cluster_id() == 0 ? Seen::kJoins : Seen::kWaits;
  const bool decided = answer.outcome() == IntroduceResponse::REFUSED;
  return decided && answer.state() == IntroduceResponse::LIVING ? Seen::kRefuses : Seen::kLives;
}

std::string WhatHelps(const std::map<uint64_t, Seen>& others, bool joins, bool heard_living) {
  std::map<Seen, size_t> count;
  for (const auto& [id, seen] : others) ++count[seen];
  const size_t members = others.size() + 1;
  const bool somebody_lives = heard_living || count[Seen::kLives] + count[Seen::kRefuses] > 0;
  // Those that are down may have their directories.
  const size_t whole = count[Seen::kLives] + count[Seen::kDown];
  std::vector<std::string> lines;
  if (somebody_lives && count[Seen::kRefuses] == 0 && whole <= members / 2) {
    lines.push_back(absl::StrCat("only ", whole, " of ", members,
                                 " members have their directories. If the cluster has no others, "
                                 "no leader can come: ",
                                 kQuorumLostPage));
  } else if (count[Seen::kDown] > 0) {
    lines.push_back("start the members that are down");
  }
  if (!somebody_lives && (joins || count[Seen::kJoins] > 0)) {
    lines.push_back("if the cluster is to begin: --initial-cluster-state=new for all its members");
  }
  if (heard_living) {
    lines.push_back(
        "if that cluster is gone for good and another is to be founded: empty this directory");
  }
  return absl::StrJoin(lines, "; ");
}

bool WaitsToVote(const Member& member, uint64_t cluster_id) {
  if (!member.is_learner) return false;
  return member.votes_when_ready ||
         member.id == ReplacementId(member.peer_urls, cluster_id, member.data_dir_uuid, false);
}

}  // namespace server
