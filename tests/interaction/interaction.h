// SPDX-License-Identifier: Apache-2.0
//
// interaction.h: a script of events for a few cores, and what they do, in words.
//
// The verbs are listed by `Interaction::Run`. Nothing happens that the script does not say:
// messages wait until they are delivered, writes until they are persisted.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "raft/core/core.h"

namespace interaction {

class Interaction {
 public:
  // Runs one command line and returns what it caused, a line each; "ok" if nothing.
  std::string Run(const std::string& line);

 private:
  using NodeId = raft::NodeId;
  struct Write {
    raft::WriteNumber number;
    std::optional<raft::HardState> hard_state;
    std::optional<raft::LogPosition> restart_log;
    std::vector<raft::EntryRef> append;
    std::vector<raft::Envelope> promises;
  };
  struct Node {
    std::unique_ptr<raft::Core> core;
    base::TimePoint now;
    uint64_t starts = 0;
    // What the disk holds, and what is on its way there.
    raft::HardState hard_state;
    raft::LogPosition base;
    std::vector<raft::EntryRef> log;  // behind the base
    std::deque<Write> writes;
    // The last write that is synced and not yet reported to the core.
    raft::WriteNumber synced;
    raft::Index handed_out;
    raft::LogPosition applied;
    // Of the state, with the index of its entry.
    std::pair<raft::Index, raft::Configuration> configuration;
    raft::StateDigest digest;
    bool state_lost = false;
    // A snapshot that lies beside the state.
    struct Staged {
      raft::LogPosition position;
      std::pair<raft::Index, raft::Configuration> configuration;
    };
    std::optional<Staged> staged;
    raft::LogPosition staged_last;
  };

  // The verbs, by what they are about; false if `verb` is not one of them.
  bool RunOnMembers(const std::string& verb, const std::string& first,
                    const std::vector<std::string>& rest);
  bool RunOnNetwork(const std::string& verb, const std::string& first);
  bool RunOnClients(const std::string& verb, const std::string& first,
                    const std::vector<std::string>& rest);
  bool RunOnStates(const std::string& verb, const std::string& first,
                   const std::vector<std::string>& rest);
  void Boot(size_t count);
  void ChangeConfiguration(NodeId leader, const std::vector<std::string>& words);
  void Damage(NodeId id, uint64_t last);
  void Stage(const std::string& link);
  void Install(NodeId id);
  void TellWrites(NodeId id, const raft::Effects& effects, std::ostream* told) const;
  void TellOutcomes(NodeId id, const raft::Effects& effects, std::ostream* told);
  void StartNode(NodeId id);
  void Step(NodeId id, raft::Event event);
  void Do(NodeId id, raft::Effects effects);
  void PassTime(NodeId id, const std::string& how);
  void Persist(NodeId id);
  void Sync(NodeId id);
  void Report(NodeId id);
  void Apply(NodeId id);
  void Deliver(const std::string& link, bool drop, bool keep);
  void Settle();
  void ShowState();
  std::vector<NodeId> NodesOf(const std::string& word) const;

  std::map<NodeId, Node> nodes_;
  std::deque<raft::Envelope> network_;
  std::ostringstream out_;
  bool quiet_ = false;
  size_t window_ = 512;
};

}  // namespace interaction
