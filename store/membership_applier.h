// SPDX-License-Identifier: Apache-2.0
//
// membership_applier.h: an entry that changed the configuration, applied to what the state knows
// of members, and answered as etcd's Cluster service does.
//
// The configuration itself took effect when the entry was appended (raft/core). A change that
// cannot be made of these members is refused with an error and alters none of them.
// Threads: the apply thread only.

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "proto/etcd/membership.pb.h"
#include "proto/membership_change.pb.h"
#include "raft/core/types.h"
#include "store/cluster_record.h"
#include "store/pending_writes.h"

namespace store {

class MembershipApplier {
 public:
  // What answers carry in their header, besides the term.
  struct Identity {
    uint64_t cluster_id = 0;
    uint64_t member_id = 0;
  };

  // Both must outlive this.
  MembershipApplier(const Identity& identity, PendingWrites* pending, ClusterRecord* cluster)
      : identity_(identity), pending_(pending), cluster_(cluster) {}

  // Encodes etcd's response to the change into `response` unless that is null; nothing for a
  // bootstrap, a binding and a replacement, which nobody asks for through the API.
  // Errors: kMemberExists, kPeerUrlExists, kMemberNotFound, kMemberNotLearner, kMemberBound,
  //         kUndecodable.
  absl::Status Apply(const raft::Entry& entry, std::string* response);

  // A member publishes its name and client URLs. Errors: kMemberNotFound.
  absl::Status Publish(const membershippb::ClusterMemberAttrSetRequest& request);

 private:
  absl::Status Change(const datum::membership::MembershipChange& change);
  absl::Status Bootstrap(const datum::membership::Bootstrap& bootstrap);
  absl::Status Add(const Member& member);
  absl::Status Remove(uint64_t id);
  absl::Status UpdatePeerUrls(const datum::membership::UpdatePeerUrls& update);
  absl::Status Promote(uint64_t id);
  absl::Status Bind(const datum::membership::Bind& bind);
  absl::Status Replace(const datum::membership::Replace& replace);
  // Whether another member than `but` has one of the URLs of `member`.
  template <typename HasPeerUrls>
  bool PeerUrlTaken(const HasPeerUrls& member, uint64_t but) const;
  void Answer(const datum::membership::MembershipChange& change, raft::Term term,
              std::string* response) const;
  // Fills in header and members and encodes.
  template <typename Message>
  void Encode(Message message, raft::Term term, std::string* response) const;

  const Identity identity_;
  PendingWrites* const pending_;
  ClusterRecord* const cluster_;
  // The entry at hand is the first configuration of all.
  bool is_first_ = false;
};

}  // namespace store
