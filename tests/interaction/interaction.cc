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
  const bool known = RunOnMembers(verb, first, rest) || RunOnNetwork(verb, first) ||
                     RunOnClients(verb, first, rest) || RunOnStates(verb, first, rest);
  if (!known) out_ << "unknown verb " << verb << "\n";
  return out_.str().empty() ? "ok\n" : out_.str();
}

bool Interaction::RunOnMembers(const std::string& verb, const std::string& first,
                               const std::vector<std::string>& rest) {
  if (verb == "nodes") {  // nodes 3 | nodes 3 2: at most two unanswered messages to a peer
    if (!rest.empty()) window_ = std::stoull(rest.at(0));
    Boot(std::stoull(first));
  } else if (verb == "join") {  // join n4: an empty node that knows of no configuration
    StartNode(ParseNode(first));
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
  } else if (verb == "restart") {  // what was not persisted is gone
    StartNode(ParseNode(first));
  } else if (verb == "damage") {  // damage n1 3: the disk loses all behind entry 3; then restart
    Damage(ParseNode(first), std::stoull(rest.at(0)));
  } else if (verb == "doubt") {  // doubt n1 3: likewise, and the node knows that it lost something
    Damage(ParseNode(first), std::stoull(rest.at(0)));
    nodes_.at(ParseNode(first)).hard_state.doubtful = true;
  } else if (verb == "settle") {  // deliver, persist and apply until nothing is left to do
    Settle();
  } else if (verb == "state") {
    ShowState();
  } else {
    return false;
  }
  return true;
}

bool Interaction::RunOnNetwork(const std::string& verb, const std::string& first) {
  if (verb == "deliver") {  // deliver | deliver n1>n2 | deliver n1>*
    Deliver(first, false, false);
  } else if (verb == "copy") {  // as deliver, but the messages stay to be delivered again
    Deliver(first, false, true);
  } else if (verb == "drop") {
    Deliver(first, true, false);
  } else if (verb == "broken") {  // broken n1>n2: n1's connection to n2 breaks
    const size_t arrow = first.find('>');
    Step(ParseNode(first.substr(0, arrow)), raft::PeerLost{ParseNode(first.substr(arrow + 1))});
  } else {
    return false;
  }
  return true;
}

bool Interaction::RunOnClients(const std::string& verb, const std::string& first,
                               const std::vector<std::string>& rest) {
  if (verb == "publish") {  // publish n1 p7
    raft::Publish publish;
    for (const std::string& word : rest) {
      publish.proposals.push_back({raft::PublishId(ParseNumber(word)), word});
    }
    Step(ParseNode(first), std::move(publish));
  } else if (verb == "read") {  // read n1 r7
    Step(ParseNode(first), raft::ReadRequest{raft::ReadId(ParseNumber(rest.at(0)))});
  } else if (verb == "configure") {  // configure n1 p7 n1 n2 n3 n4(learner)
    ChangeConfiguration(ParseNode(first), rest);
  } else if (verb == "transfer") {  // transfer n1 n2 | transfer n1
    Step(ParseNode(first),
         raft::TransferLeadership{rest.empty() ? raft::kNobody : ParseNode(rest.at(0))});
  } else {
    return false;
  }
  return true;
}

bool Interaction::RunOnStates(const std::string& verb, const std::string& first,
                              const std::vector<std::string>& rest) {
  if (verb == "release") {  // release n1: its state is flushed; the log before it goes
    Node& node = nodes_.at(ParseNode(first));
    Step(ParseNode(first), raft::StateFlushed{node.applied.index});
  } else if (verb == "stage") {  // stage n1>n3: n1's state lies on n3's disk
    Stage(first);
  } else if (verb == "sent") {  // sent n1>n3 | sent n1>n3 failed
    const size_t arrow = first.find('>');
    const NodeId from = ParseNode(first.substr(0, arrow));
    const NodeId to = ParseNode(first.substr(arrow + 1));
    Step(from, raft::SnapshotSent{to, rest.empty(), nodes_.at(to).staged_last});
  } else if (verb == "install") {
    Install(ParseNode(first));
  } else if (verb == "lose") {  // lose n1: its state can be read no more
    nodes_.at(ParseNode(first)).state_lost = true;
    Step(ParseNode(first), raft::StateLost{});
  } else if (verb == "digest") {  // digest n1 5 77: at entry 5 its state holds 77
    Node& node = nodes_.at(ParseNode(first));
    node.digest = {Index(std::stoull(rest.at(0))), std::stoull(rest.at(1))};
    Step(ParseNode(first), raft::Applied{node.applied.index, node.digest});
  } else {
    return false;
  }
  return true;
}

std::vector<NodeId> Interaction::NodesOf(const std::string& word) const {
  if (word != "all") return {ParseNode(word)};
  std::vector<NodeId> all;
  for (const auto& [id, node] : nodes_) all.push_back(id);
  return all;
}

void Interaction::Boot(size_t count) {
  std::vector<NodeId> voters;
  for (uint64_t id = 1; id <= count; ++id) voters.push_back(NodeId(id));
  for (NodeId id : voters) nodes_[id].configuration.second = raft::Configuration(voters);
  for (NodeId id : voters) StartNode(id);
}

void Interaction::StartNode(NodeId id) {
  Node& node = nodes_[id];
  node.writes.clear();
  node.synced = {};
  node.staged.reset();
  raft::CoreOptions options;
  options.self = id;
  options.session = raft::Session(++node.starts);
  options.random_seed = id.value();
  options.in_flight_messages_max = window_;
  std::vector<raft::LogPosition> runs;
  raft::CoreStart start{node.hard_state, {}, node.applied.index, {node.configuration}, {}, false};
  for (const raft::EntryRef& entry : node.log) {
    if (runs.empty() || runs.back().term < entry->term) runs.push_back(entry->position());
    if (entry->kind != raft::EntryKind::kConfiguration) continue;
    if (entry->index <= node.configuration.first) continue;
    start.configurations.push_back(
        {entry->index, raft::DecodeConfigurationCommand(entry->command)->configuration});
  }
  start.log = raft::Log(node.base, std::move(runs), node.base.index + node.log.size(), node.log);
  start.state_lost = node.state_lost;
  node.handed_out = node.applied.index;
  node.core = std::make_unique<raft::Core>(options, std::move(start), node.now);
  node.core->set_trace([this](const std::string& line) {
    if (!quiet_) out_ << line << "\n";
  });
}

void Interaction::Damage(NodeId id, uint64_t last) {
  Node& node = nodes_.at(id);
  node.log.resize(last - node.base.index.value());
  if (node.applied.index > Index(last)) {
    node.applied = node.log.empty() ? node.base : node.log.back()->position();
  }
}

void Interaction::ChangeConfiguration(NodeId leader, const std::vector<std::string>& words) {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
  for (size_t i = 1; i < words.size(); ++i) {
    const bool learner = words[i].find("(learner)") != std::string::npos;
    (learner ? learners : voters).push_back(ParseNode(words[i]));
  }
  const raft::Configuration next(voters, learners);
  raft::Proposal proposal{raft::PublishId(ParseNumber(words.at(0))),
                          raft::EncodeConfigurationCommand(next, ""),
                          raft::EntryKind::kConfiguration, nodes_.at(leader).configuration.first};
  Step(leader, raft::Publish{{std::move(proposal)}});
}

void Interaction::Stage(const std::string& link) {
  const size_t arrow = link.find('>');
  const Node& from = nodes_.at(ParseNode(link.substr(0, arrow)));
  const NodeId to = ParseNode(link.substr(arrow + 1));
  nodes_.at(to).staged = Node::Staged{from.applied, from.configuration};
  nodes_.at(to).staged_last = from.applied;
  Step(to, raft::SnapshotArrived{from.applied, 1});
}

void Interaction::Install(NodeId id) {
  Node& node = nodes_.at(id);
  CHECK(node.staged.has_value()) << "nothing is staged on " << Name(id);
  const Node::Staged staged = *std::exchange(node.staged, std::nullopt);
  node.applied = staged.position;
  node.handed_out = staged.position.index;
  node.configuration = staged.configuration;
  node.state_lost = false;
  Step(id, raft::SnapshotInstalled{true, staged.position, staged.configuration.second,
                                   staged.configuration.first});
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
  std::ostringstream told;
  for (const raft::Envelope& envelope : effects.send_now) {
    told << Name(id) << " sends " << raft::Describe(envelope.message) << " to " << Name(envelope.to)
         << "\n";
    network_.push_back(envelope);
  }
  TellWrites(id, effects, &told);
  if (effects.write != raft::WriteNumber{} || !effects.send_after_persist.empty()) {
    nodes_.at(id).writes.push_back({effects.write, effects.hard_state, effects.restart_log,
                                    effects.append, effects.send_after_persist});
  }
  TellOutcomes(id, effects, &told);
  if (!quiet_) out_ << told.str();
  if (effects.release_log) {
    Node& node = nodes_.at(id);
    const uint64_t gone = effects.release_log->value() - node.base.index.value();
    node.base = node.log.at(gone - 1)->position();
    node.log.erase(node.log.begin(), node.log.begin() + static_cast<ptrdiff_t>(gone));
    Step(id, raft::LogReleased{node.base});
  }
}

void Interaction::TellWrites(NodeId id, const raft::Effects& effects, std::ostream* told) const {
  if (effects.hard_state) {
    *told << Name(id) << " writes term=" << effects.hard_state->current_term << " voted_for=";
    *told << (effects.hard_state->voted_for ? Name(*effects.hard_state->voted_for) : "nobody");
    *told << (effects.hard_state->doubtful ? " doubtful\n" : "\n");
  }
  if (effects.restart_log) {
    *told << Name(id) << " restarts its log behind " << *effects.restart_log << "\n";
  }
  if (!effects.append.empty()) {
    *told << Name(id) << " writes entries " << effects.append.front()->position() << ".."
          << effects.append.back()->position() << "\n";
  }
  for (const raft::Envelope& envelope : effects.send_after_persist) {
    *told << Name(id) << " promises " << raft::Describe(envelope.message) << " to "
          << Name(envelope.to) << "\n";
  }
}

void Interaction::TellOutcomes(NodeId id, const raft::Effects& effects, std::ostream* told) {
  static constexpr const char* kKinds[] = {"", "leader start", "configuration"};
  for (const raft::EntryRef& entry : effects.apply) {
    const bool command = entry->kind == raft::EntryKind::kCommand;
    *told << Name(id) << " applies " << entry->position() << " "
          << (command ? entry->command : kKinds[static_cast<size_t>(entry->kind)]) << "\n";
    nodes_.at(id).handed_out = entry->index;
  }
  for (const raft::ReadGrant& read : effects.reads) {
    *told << Name(id) << (read.granted ? " may read r" : " must ask again for r") << read.id;
    if (read.granted) *told << " at " << read.read_index;
    *told << "\n";
  }
  for (const raft::RefusedPublish& refused : effects.refused) {
    *told << Name(id) << " refuses p" << refused.id << ": " << raft::RefusalText(refused.reason)
          << "\n";
  }
  for (const raft::Fetch& fetch : effects.fetches) {
    *told << Name(id) << " fetches from " << fetch.from << " for " << Name(fetch.peer) << "\n";
  }
  for (const raft::StagedSnapshot& staged : effects.staged) {
    *told << Name(id) << (staged.install ? " installs" : " throws away") << " the snapshot\n";
  }
  for (const raft::SnapshotWish& wish : effects.snapshots) {
    *told << Name(id) << " sends its state to " << Name(wish.peer) << "\n";
  }
  if (effects.release_log) *told << Name(id) << " releases up to " << *effects.release_log << "\n";
  if (effects.state_differs) *told << Name(id) << " differs from a quorum\n";
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
    if (write.restart_log) {
      node.base = *write.restart_log;
      node.log.clear();
    }
    for (const raft::EntryRef& entry : write.append) {
      node.log.resize(entry->index - node.base.index - 1);
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
  for (const raft::EntryRef& entry : node.log) {
    if (entry->index <= node.applied.index || entry->index > node.handed_out) continue;
    node.applied = entry->position();
    if (entry->kind != raft::EntryKind::kConfiguration) continue;
    node.configuration = {entry->index,
                          raft::DecodeConfigurationCommand(entry->command)->configuration};
  }
  Step(id, raft::Applied{node.applied.index, node.digest});
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
      return !item.second.writes.empty() || item.second.applied.index < item.second.handed_out;
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
    if (core.log().base() != raft::LogPosition{}) out_ << " base=" << core.log().base();
    if (core.configuration_index() != Index{}) {
      out_ << " configuration=" << core.configuration_index();
    }
    if (core.hard_state().doubtful) out_ << " doubtful";
    if (core.state_lost()) out_ << " state lost";
    if (core.transferring()) out_ << " hands over";
    if (core.leader() != raft::kNobody) out_ << " leader=" << Name(core.leader());
    out_ << "\n";
  }
}

}  // namespace interaction
