// SPDX-License-Identifier: Apache-2.0

#include "tests/interaction/interaction.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"

namespace interaction {
namespace {

using raft::Index;
using raft::NodeId;

std::string Name(NodeId id) { return "n" + std::to_string(id.value()); }

NodeId ParseNode(const std::string& word) {
  CHECK(word.size() >= 2 && word[0] == 'n') << "not a node: " << word;
  return NodeId(std::stoull(word.substr(1)));
}

uint64_t ParseNumber(const std::string& word) { return std::stoull(word.substr(1)); }

bool OnLink(const raft::Envelope& envelope, const std::string& link) {
  if (link.empty() || link == "all") return true;
  const size_t arrow = link.find('>');
  CHECK(arrow != std::string::npos) << "not a link: " << link;
  const std::string from = link.substr(0, arrow);
  const std::string to = link.substr(arrow + 1);
  return (from == "*" || ParseNode(from) == envelope.from) &&
         (to == "*" || ParseNode(to) == envelope.to);
}

}  // namespace

std::string Interaction::Run(const std::string& line) {
  out_.str("");
  std::istringstream words(line);
  std::string verb, first;
  words >> verb >> first;
  std::vector<std::string> rest;
  for (std::string word; words >> word;) rest.push_back(word);

  if (verb == "nodes") {  // nodes 3
    Boot(std::stoull(first));
  } else if (verb == "pass") {  // pass n1 due | pass n1 500ms
    for (NodeId id : NodesOf(first)) PassTime(id, rest.at(0));
  } else if (verb == "persist") {  // persist n1 | persist all
    for (NodeId id : NodesOf(first)) Persist(id);
  } else if (verb == "sync") {  // the disk is done and promises leave; the core is not told yet
    Sync(ParseNode(first));
  } else if (verb == "report") {  // now it is
    Report(ParseNode(first));
  } else if (verb == "apply") {
    for (NodeId id : NodesOf(first)) Apply(id);
  } else if (verb == "deliver") {  // deliver | deliver n1>n2 | deliver n1>*
    Deliver(first, false, false);
  } else if (verb == "copy") {  // as deliver, but the messages stay to be delivered again
    Deliver(first, false, true);
  } else if (verb == "drop") {
    Deliver(first, true, false);
  } else if (verb == "publish") {  // publish n1 p7
    raft::Publish publish;
    for (const std::string& word : rest) {
      publish.proposals.push_back({raft::PublishId(ParseNumber(word)), word});
    }
    Step(ParseNode(first), std::move(publish));
  } else if (verb == "read") {  // read n1 r7
    Step(ParseNode(first), raft::ReadRequest{raft::ReadId(ParseNumber(rest.at(0)))});
  } else if (verb == "restart") {  // what was not persisted is gone
    StartNode(ParseNode(first));
  } else if (verb == "damage") {  // damage n1 3: the disk loses all behind entry 3; then restart
    Node& node = nodes_.at(ParseNode(first));
    node.log.resize(std::stoull(rest.at(0)));
    node.applied = std::min(node.applied, Index(node.log.size()));
  } else if (verb == "settle") {  // deliver, persist and apply until nothing is left to do
    Settle();
  } else if (verb == "state") {
    ShowState();
  } else {
    out_ << "unknown verb " << verb << "\n";
  }
  return out_.str().empty() ? "ok\n" : out_.str();
}

std::vector<NodeId> Interaction::NodesOf(const std::string& word) const {
  if (word != "all") return {ParseNode(word)};
  std::vector<NodeId> all;
  for (const auto& [id, node] : nodes_) all.push_back(id);
  return all;
}

void Interaction::Boot(size_t count) {
  for (uint64_t id = 1; id <= count; ++id) nodes_[NodeId(id)];
  for (const auto& [id, node] : nodes_) StartNode(id);
}

void Interaction::StartNode(NodeId id) {
  Node& node = nodes_.at(id);
  node.writes.clear();
  node.synced = {};
  std::vector<NodeId> voters;
  for (const auto& [voter, unused] : nodes_) voters.push_back(voter);
  raft::CoreOptions options;
  options.self = id;
  options.session = raft::Session(++node.starts);
  options.configuration = raft::Configuration(voters);
  options.random_seed = id.value();
  std::vector<raft::LogPosition> runs;
  for (const raft::EntryRef& entry : node.log) {
    if (runs.empty() || runs.back().term < entry->term) runs.push_back(entry->position());
  }
  raft::CoreStart start{node.hard_state,
                        raft::Log({}, std::move(runs), Index(node.log.size()), node.log),
                        node.applied};
  node.handed_out = node.applied;
  node.core = std::make_unique<raft::Core>(options, std::move(start), node.now);
  node.core->set_trace([this](const std::string& line) {
    if (!quiet_) out_ << line << "\n";
  });
}

void Interaction::Step(NodeId id, raft::Event event) {
  Node& node = nodes_.at(id);
  const raft::CoreView before = raft::CoreView::Of(*node.core);
  raft::Effects effects;
  node.core->Step(node.now, std::move(event), &effects);
  raft::CheckInvariants(*node.core);
  raft::CheckStep(before, raft::CoreView::Of(*node.core), effects);
  Do(id, std::move(effects));
}

// In the order of effects.h.
void Interaction::Do(NodeId id, raft::Effects effects) {
  Node& node = nodes_.at(id);
  std::ostringstream told;
  for (const raft::Envelope& envelope : effects.send_now) {
    told << Name(id) << " sends " << raft::Describe(envelope.message) << " to " << Name(envelope.to)
         << "\n";
    network_.push_back(envelope);
  }
  if (effects.hard_state) {
    told << Name(id) << " writes term=" << effects.hard_state->current_term << " voted_for=";
    if (effects.hard_state->voted_for) {
      told << Name(*effects.hard_state->voted_for) << "\n";
    } else {
      told << "nobody\n";
    }
  }
  if (!effects.append.empty()) {
    told << Name(id) << " writes entries " << effects.append.front()->position() << ".."
         << effects.append.back()->position() << "\n";
  }
  for (const raft::Envelope& envelope : effects.send_after_persist) {
    told << Name(id) << " promises " << raft::Describe(envelope.message) << " to "
         << Name(envelope.to) << "\n";
  }
  if (effects.write != raft::WriteNumber{} || !effects.send_after_persist.empty()) {
    node.writes.push_back(
        {effects.write, effects.hard_state, effects.append, effects.send_after_persist});
  }
  for (const raft::EntryRef& entry : effects.apply) {
    told << Name(id) << " applies " << entry->position() << " "
         << (entry->kind == raft::EntryKind::kCommand ? entry->command : "leader start") << "\n";
    node.handed_out = entry->index;
  }
  for (const raft::ReadGrant& read : effects.reads) {
    told << Name(id) << (read.granted ? " may read r" : " must ask again for r") << read.id;
    if (read.granted) told << " at " << read.read_index;
    told << "\n";
  }
  for (const raft::RefusedPublish& refused : effects.refused) {
    told << Name(id) << " refuses p" << refused.id << ": "
         << raft::RefusalText(refused.reason) << "\n";
  }
  for (const raft::Fetch& fetch : effects.fetches) {
    told << Name(id) << " fetches from " << fetch.from << " for " << Name(fetch.peer) << "\n";
  }
  if (!quiet_) out_ << told.str();
}

void Interaction::PassTime(NodeId id, const std::string& how) {
  Node& node = nodes_.at(id);
  if (how == "due") {
    node.now = std::max(node.now, node.core->next_due());
  } else {
    node.now += std::chrono::milliseconds(std::stoll(how));
  }
  Step(id, raft::Tick{});
}

void Interaction::Persist(NodeId id) {
  Sync(id);
  Report(id);
}

void Interaction::Sync(NodeId id) {
  Node& node = nodes_.at(id);
  for (Write& write : node.writes) {
    if (write.hard_state) node.hard_state = *write.hard_state;
    for (const raft::EntryRef& entry : write.append) {
      node.log.resize(entry->index.value() - 1);
      node.log.push_back(entry);
    }
    for (raft::Envelope& envelope : write.promises) {
      if (!quiet_) {
        out_ << Name(id) << " sends " << raft::Describe(envelope.message) << " to "
             << Name(envelope.to) << "\n";
      }
      network_.push_back(std::move(envelope));
    }
    if (write.number != raft::WriteNumber{}) node.synced = write.number;
  }
  node.writes.clear();
}

void Interaction::Report(NodeId id) {
  const raft::WriteNumber synced = std::exchange(nodes_.at(id).synced, {});
  if (synced != raft::WriteNumber{}) Step(id, raft::Persisted{synced});
}

void Interaction::Apply(NodeId id) {
  Node& node = nodes_.at(id);
  node.applied = node.handed_out;
  Step(id, raft::Applied{node.applied});
}

void Interaction::Deliver(const std::string& link, bool drop, bool keep) {
  std::deque<raft::Envelope> waiting;
  waiting.swap(network_);
  for (raft::Envelope& envelope : waiting) {
    if (!OnLink(envelope, link)) {
      network_.push_back(std::move(envelope));
      continue;
    }
    if (!quiet_) {
      out_ << Name(envelope.from) << ">" << Name(envelope.to) << (drop ? " loses " : " ")
           << raft::Describe(envelope.message) << "\n";
    }
    if (drop) continue;
    if (keep) network_.push_back(envelope);
    const NodeId to = envelope.to;
    Step(to, std::move(envelope));
  }
}

void Interaction::Settle() {
  quiet_ = true;
  const auto busy = [this] {
    if (!network_.empty()) return true;
    return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& item) {
      return !item.second.writes.empty() || item.second.applied < item.second.handed_out;
    });
  };
  int rounds = 0;
  for (; busy() && rounds < 100; ++rounds) {
    for (NodeId id : NodesOf("all")) Persist(id);
    Deliver("all", false, false);
    for (NodeId id : NodesOf("all")) Apply(id);
  }
  quiet_ = false;
  if (rounds == 100) out_ << "does not settle\n";
  ShowState();
}

void Interaction::ShowState() {
  for (const auto& [id, node] : nodes_) {
    const raft::Core& core = *node.core;
    out_ << Name(id) << " t" << core.current_term() << " " << raft::RoleName(core.role())
         << " last=" << core.log().last() << " persisted=" << core.persisted_index()
         << " commit=" << core.commit_index() << " applied=" << core.last_applied();
    if (core.leader() != raft::kNobody) out_ << " leader=" << Name(core.leader());
    out_ << "\n";
  }
}

}  // namespace interaction
