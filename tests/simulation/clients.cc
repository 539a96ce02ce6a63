// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/clients.h"

#include <algorithm>
#include <utility>

#include "store/errors.h"

namespace simulation {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr base::Duration kPatience = seconds(4);

// A value is its name and so much padding that it has the size that its name says.
std::string Padded(const std::string& name) {
  const size_t size = std::stoull(name.substr(name.find('-') + 1));
  return name + std::string(std::max(size, name.size() + 1) - name.size(), '.');
}

// Empty if the bytes are not those that were put.
std::string NameOf(const std::string& value) {
  const std::string name = value.substr(0, value.find('.'));
  return name.find('-') != std::string::npos && Padded(name) == value ? name : "?" + name;
}

void NoteSeen(const mvccpb::KeyValue& kv, Operation* operation) {
  operation->seen.push_back(
      {kv.key(), NameOf(kv.value()), kv.create_revision(), kv.mod_revision(), kv.version()});
}

etcdserverpb::InternalRaftRequest RequestOf(const Operation& operation) {
  etcdserverpb::InternalRaftRequest request;
  if (operation.kind == Kind::kPut) {
    request.mutable_put()->set_key(operation.key);
    request.mutable_put()->set_value(Padded(operation.value));
  } else if (operation.kind == Kind::kDelete) {
    request.mutable_delete_range()->set_key(operation.key);
  } else {
    auto* txn = request.mutable_txn();
    auto* compare = txn->add_compare();
    compare->set_result(etcdserverpb::Compare::EQUAL);
    compare->set_target(etcdserverpb::Compare::VALUE);
    compare->set_key(operation.key);
    compare->set_value(Padded(operation.expected));
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(operation.key);
    put->set_value(Padded(operation.value));
    txn->add_failure()->mutable_request_range()->set_key(operation.key);
    if (operation.past_revision > 0) {
      auto* range = txn->add_success()->mutable_request_range();
      range->set_key("past");
      range->set_revision(operation.past_revision);
    }
    // Two changes of one revision, for those who watch; in front of all that reads look at.
    auto* beside = txn->add_success()->mutable_request_put();
    beside->set_key("BESIDE/" + operation.key);
    beside->set_value("v");
  }
  return request;
}

template <typename Response>
bool Parse(const std::string& bytes, Operation* operation, Response* response) {
  if (!response->ParseFromString(bytes)) return false;
  operation->revision = operation->shown_revision = response->header().revision();
  return true;
}

// False if the bytes are no answer to this.
bool NoteAnswer(const std::string& bytes, Operation* operation) {
  if (operation->kind == Kind::kPut) {
    etcdserverpb::PutResponse put;
    operation->changed = true;
    return Parse(bytes, operation, &put);
  }
  if (operation->kind == Kind::kDelete) {
    etcdserverpb::DeleteRangeResponse deleted;
    if (!Parse(bytes, operation, &deleted)) return false;
    operation->changed = deleted.deleted() > 0;
    return true;
  }
  if (operation->kind == Kind::kCompact) return true;
  etcdserverpb::TxnResponse txn;
  if (!Parse(bytes, operation, &txn)) return false;
  operation->changed = txn.succeeded();
  if (!txn.succeeded()) {
    for (const auto& kv : txn.responses(0).response_range().kvs()) NoteSeen(kv, operation);
  }
  return true;
}

}  // namespace

void Clients::Start() {
  for (size_t client = 1; client <= settings_.clients; ++client) PlanNext(client);
}

void Clients::PlanNext(size_t client) {
  world_->After(world_->RandomDelay(milliseconds(1), pause_max_), [this, client] {
    if (!stopped_) Ask(client);
  });
}

SimNode* Clients::RandomNode() {
  std::vector<SimNode*> inhabited;
  for (const auto& node : *nodes_) {
    if (node->inhabited()) inhabited.push_back(node.get());
  }
  if (inhabited.empty()) return nodes_->front().get();
  return inhabited[world_->random()->Below(inhabited.size())];
}

std::string Clients::NewValue() {
  base::Random* random = world_->random();
  // Some fill a few sectors.
  size_t size = random->Below(random->Chance(0.15) ? 3000 : 100);
  if (random->Below(settings_.large_one_in) == 0) size = random->Below(settings_.large_bytes_max);
  return std::to_string(++values_) + "-" + std::to_string(size);
}

Operation Clients::NewOperation(size_t client) {
  base::Random* random = world_->random();
  Operation operation;
  operation.client = client;
  operation.key = std::string(1, static_cast<char>('a' + random->Below(settings_.keys)));
  const uint64_t kind = random->Below(100);
  if (kind < 35) {
    operation.kind = Kind::kPut;
  } else if (kind < 55) {
    operation.kind = value_seen_.count(operation.key) > 0 ? Kind::kTxn : Kind::kPut;
  } else if (kind < 64) {
    operation.kind = Kind::kDelete;
  } else if (kind < 66) {
    operation.kind = Kind::kCompact;
    operation.key = "";
  } else {
    operation.kind = kind < 90 ? Kind::kGet : Kind::kRange;
    operation.serializable = random->Chance(0.2);
    // Sometimes as of an older revision.
    if (random->Chance(0.15)) {
      operation.shown_revision = revision_seen_ - static_cast<int64_t>(random->Below(20));
    }
  }
  if (operation.puts()) operation.value = NewValue();
  if (operation.kind == Kind::kTxn) {
    operation.expected = value_seen_[operation.key];
    const auto back = static_cast<int64_t>(random->Below(60));
    if (random->Chance(0.3)) operation.past_revision = std::max<int64_t>(0, revision_seen_ - back);
  }
  return operation;
}

void Clients::Ask(size_t client) {
  Operation operation = NewOperation(client);
  SimNode* node = RandomNode();
  const Done next = [this, client](Operation*) { PlanNext(client); };
  if (operation.kind == Kind::kCompact) return Compact(node, std::move(operation), next);
  if (operation.writes()) return Write(node, std::move(operation), next);
  Read(node, std::move(operation), next);
}

size_t Clients::Begin(Operation operation) {
  operation.call = world_->now();
  history_.push_back(std::move(operation));
  ended_.push_back(false);
  return history_.size() - 1;
}

void Clients::End(size_t place, const Done& done) {
  if (ended_[place]) return;
  ended_[place] = true;
  Operation& operation = history_[place];
  operation.end = world_->now();
  if (operation.outcome == Outcome::kOk) {
    revision_seen_ = std::max(revision_seen_, operation.revision);
    if (operation.changed && operation.puts()) value_seen_[operation.key] = operation.value;
    if (!operation.serializable && operation.shown_revision == operation.revision) {
      for (const SeenDatum& datum : operation.seen) value_seen_[datum.key] = datum.value;
    }
  }
  done(&operation);
}

void Clients::Publish(SimNode* node, size_t place, const etcdserverpb::InternalRaftRequest& request,
                      Done done) {
  etcdserverpb::InternalRaftRequest numbered = request;
  const uint64_t number = place + 1;
  numbered.set_id(number);
  node->Publish(
      numbered.SerializeAsString(), kPatience,
      [this, node, place, number, done](raft::PublishOutcome outcome) {
        using Is = raft::PublishOutcome::Kind;
        // What comes after the client gave up was unknown to it.
        Operation ignored;
        Operation& operation = ended_[place] ? ignored : history_[place];
        if (outcome.kind == Is::kApplied) {
          checker_->OnAcknowledged(number);
          // What a state that differs answers is nobody's word.
          if (node->astray()) return End(place, done);
          const bool ok = outcome.result.status.ok();
          operation.outcome = ok ? Outcome::kOk : Outcome::kFail;
          if (ok && !ended_[place] && !NoteAnswer(outcome.result.response, &operation)) {
            checker_->Fail("an answer that cannot be understood to " + Describe(operation));
          }
        } else if (outcome.kind != Is::kUnknown) {
          checker_->OnDropped(number);
          operation.outcome = Outcome::kFail;
        }
        End(place, done);
      });
  // A member that dies takes its answer with it.
  world_->After(kPatience + seconds(1), [this, place, done] { End(place, done); });
}

void Clients::Write(SimNode* node, Operation operation, Done done) {
  const auto request = RequestOf(operation);
  Publish(node, Begin(std::move(operation)), request, std::move(done));
}

void Clients::Compact(SimNode* node, Operation operation, Done done) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_compaction()->set_revision(revision_seen_ -
                                             static_cast<int64_t>(world_->random()->Below(30)));
  Publish(node, Begin(std::move(operation)), request, std::move(done));
}

void Clients::Read(SimNode* node, Operation operation, Done done) {
  const bool serializable = operation.serializable;
  const size_t place = Begin(std::move(operation));
  if (serializable) {
    if (node->running() && !node->paused()) ReadState(node, &history_[place]);
    return End(place, done);
  }
  const raft::Index floor = checker_->read_floor();
  node->Read(kPatience, [this, node, place, floor, done](raft::ReadOutcome outcome) {
    if (ended_[place]) return;
    history_[place].outcome = Outcome::kFail;
    if (outcome == raft::ReadOutcome::kReady) {
      checker_->OnRead(floor, node->kv()->applied().index);
      ReadState(node, &history_[place]);
    }
    End(place, done);
  });
  world_->After(kPatience + seconds(1), [this, place, done] { End(place, done); });
}

void Clients::ReadState(SimNode* node, Operation* operation) {
  if (node->astray()) return;
  etcdserverpb::RangeRequest range;
  etcdserverpb::RangeResponse response;
  if (operation->kind == Kind::kRange) {
    range.set_key("a");
    range.set_range_end(std::string(1, '\0'));
  } else {
    range.set_key(operation->key);
  }
  const int64_t wanted = std::max<int64_t>(operation->shown_revision, 0);
  range.set_revision(wanted);
  const absl::Status status = node->kv()->Range(range, 1, &response);
  if (!status.ok()) {
    operation->outcome = Outcome::kFail;
    const bool lost = absl::IsDataLoss(status) || absl::IsUnavailable(status);
    if (!store::ErrorOf(status) && !(lost && node->damaged())) {
      checker_->Fail("a read fails: " + status.ToString());
    }
    return;
  }
  operation->outcome = Outcome::kOk;
  operation->revision = response.header().revision();
  operation->shown_revision = wanted > 0 ? wanted : operation->revision;
  for (const auto& kv : response.kvs()) NoteSeen(kv, operation);
}

void Clients::Probe(SimNode* node, std::function<void()> done) {
  Operation put;
  put.kind = Kind::kPut;
  put.key = "a";
  put.value = NewValue();
  Write(node, put, [this, node, done](Operation* written) {
    if (written->outcome != Outcome::kOk) return;
    Operation get;
    get.key = "a";
    Read(node, get, [done](Operation* read) {
      if (read->outcome == Outcome::kOk) done();
    });
  });
}

}  // namespace simulation
