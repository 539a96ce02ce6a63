// SPDX-License-Identifier: Apache-2.0
//
// membership.h: who is in the cluster as the state says it, and etcd's rules for changing that.
//
// Pure: each plan looks at one moment's membership and gives the entry that makes the change, or
// what etcd says against it (errors.h).

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/etcd/rpc.pb.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"

namespace server {

struct Member {
  uint64_t id = 0;
  std::string name;  // empty: it was added and has not started yet
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool is_learner = false;
  std::string data_dir_uuid;  // 16 bytes; empty: no directory is bound to it yet
  // A learner that is promoted without being asked. A voter is added so: in force at once, it would
  // be needed for the very quorum that has to say who it is. So is who replaces a voter, or one
  // that was to be promoted so.
  bool votes_when_ready = false;

  bool started() const { return !name.empty(); }
};

struct Membership {
  std::map<uint64_t, Member> members;
  // They were members and never will be again.
  std::set<uint64_t> removed;
  // Of the entry that made it so; 0: the cluster has not begun.
  raft::Index index;

  const Member* Find(uint64_t id) const;
  // The member with one of these URLs, if any.
  const Member* FindByUrls(const std::vector<std::string>& peer_urls) const;
  raft::Configuration configuration() const;
};

// The command of a kConfiguration entry.
struct PlannedChange {
  std::string command;
  raft::Index based_on;
};

// Makes a change from the newest membership; asked again when that has changed meanwhile.
using Plan = std::function<absl::StatusOr<PlannedChange>(const Membership&)>;

// What a member knows of its connections to the others, for the strict checks.
struct Connections {
  uint64_t self = 0;
  // Connected for as long as etcd wants (5 s); a member is always connected with itself.
  std::function<bool(uint64_t id)> steady;
  // Connected at all.
  std::function<bool(uint64_t id)> connected;
};

// Strict checks (--strict-reconfig-check): a change must leave a quorum that has been started,
// and be made while the members that matter are connected.
absl::Status CheckAdd(const Membership& membership, bool is_learner,
                      const Connections& connections);
absl::Status CheckRemove(const Membership& membership, uint64_t id, const Connections& connections);
absl::Status CheckPromote(const Membership& membership, uint64_t id);

absl::StatusOr<PlannedChange> PlanAdd(const Membership& membership, const Member& member);
absl::StatusOr<PlannedChange> PlanRemove(const Membership& membership, uint64_t id);
absl::StatusOr<PlannedChange> PlanUpdate(const Membership& membership, uint64_t id,
                                         const std::vector<std::string>& peer_urls);
absl::StatusOr<PlannedChange> PlanPromote(const Membership& membership, uint64_t id);
absl::StatusOr<PlannedChange> PlanBind(const Membership& membership, uint64_t id,
                                       const std::string& data_dir_uuid);
// A member whose directory is lost is removed, and `by` added as a learner, in one step.
absl::StatusOr<PlannedChange> PlanReplace(const Membership& membership, uint64_t id,
                                          const Member& by);

// The first entry of a cluster that begins with these members.
std::string BootstrapCommand(const std::vector<Member>& members);

// The id of a member that is added: as in etcd a hash of its URLs, here with a random salt in place
// of the time, so that one that is removed and added again is another member.
uint64_t AddedMemberId(std::vector<std::string> peer_urls, uint64_t salt);

etcdserverpb::Member WireMember(const Member& member);

// Whether a message from `from`, whose data directory has this uuid, may be taken. Before a member
// is bound, whoever says that he is it is heard: he was told so by an introduction, or was one of
// the founders; the leader binds him at once.
// Errors: FailedPrecondition.
absl::Status CheckPeer(const Membership& membership, uint64_t from, const std::string& uuid);

inline constexpr char kRemovedText[] = "the member has been permanently removed from the cluster";

}  // namespace server
