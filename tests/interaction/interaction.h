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
    std::vector<raft::EntryRef> append;
    std::vector<raft::Envelope> promises;
  };
  struct Node {
    std::unique_ptr<raft::Core> core;
    base::TimePoint now;
    uint64_t starts = 0;
    // What the disk holds, and what is on its way there.
    raft::HardState hard_state;
    std::vector<raft::EntryRef> log;
    std::deque<Write> writes;
    // The last write that is synced and not yet reported to the core.
    raft::WriteNumber synced;
    raft::Index handed_out;
    raft::Index applied;
  };

  void Boot(size_t count);
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
};

}  // namespace interaction
