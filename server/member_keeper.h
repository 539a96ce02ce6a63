// SPDX-License-Identifier: Apache-2.0
//
// member_keeper.h: what a member does about the members, now and then: reaches those that come and
// lets go of those that leave, ends itself when it was removed, and, as leader, binds data
// directories and promotes those that are to vote and have caught up. Says in the log why commit
// waits, and who waits to vote.
//
// Threads: Look from one thread that may wait a little; the rest from any.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "raft/core/core.h"
#include "server/configuration_changer.h"
#include "server/parts.h"
#include "server/peer_book.h"
#include "server/peer_transport.h"
#include "server/transfers.h"

namespace server {

class MemberKeeper {
 public:
  struct Parts {
    Replica* replica;
    const State* state;
    const ConfigurationChanger* changer;
    PeerBook* book;
    Transfers* transfers;
    const base::Clock* clock;
    PeerIdentity identity;
    // As in PeerTransport.
    std::function<void(const std::map<uint64_t, PeerPlace>& peers)> set_peers;
    std::function<bool(uint64_t id)> connected;
    // The data directory from which that member speaks; nothing if it does not speak.
    std::function<std::optional<std::string>(uint64_t id)> speaks_from;
    // Called with each membership whose configuration is new.
    std::function<void(const Membership&)> on_configuration;
    // Called once: this member was removed.
    std::function<void(const std::string& why)> on_removed;
  };

  // All must outlive it.
  MemberKeeper(std::string name, Parts parts) : name_(std::move(name)), parts_(std::move(parts)) {}

  // The book has news: peers are to be reached elsewhere.
  void OnNews() { news_ = true; }
  // Another member does not hear this one.
  void OnRefused(const std::string& why);

  void Look(base::TimePoint now);

 private:
  // A change that would do a member good.
  struct Wanted {
    Plan plan;
    std::string what;
  };
  struct WaitToVote {
    base::TimePoint since;
    bool logged = false;
  };

  void FollowMembership(const Membership& membership);
  std::string WhatLacks(const Member& member) const;
  // By the member's id.
  std::map<uint64_t, Wanted> WantedChanges(const Membership& membership) const;
  void LookAfterMembers(const Membership& membership, base::TimePoint now);
  void Change(Plan plan, std::string what);
  void LogWhoWaits(const Membership& membership, base::TimePoint now);
  void LogWaits(const Membership& membership, const raft::NodeStatus& status, base::TimePoint now);

  const std::string name_;
  const Parts parts_;
  std::atomic<bool> news_{true};
  std::atomic<bool> removed_{false};
  // A change of this member's own is under way.
  std::atomic<bool> changing_{false};

  // Of Look.
  bool ended_ = false;
  raft::Index followed_;
  base::TimePoint change_due_ = base::TimePoint::min();
  // The member for whose sake the last change was tried.
  uint64_t tried_last_ = 0;
  std::map<uint64_t, WaitToVote> waits_to_vote_;
  raft::CommitWait wait_ = raft::CommitWait::kNone;
  base::TimePoint wait_since_;
  base::TimePoint wait_log_due_ = base::kForever;
  bool wait_logged_ = false;
  bool doubtful_ = false;
  bool state_lost_ = false;
};

}  // namespace server
