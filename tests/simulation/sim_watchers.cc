// SPDX-License-Identifier: Apache-2.0

#include "tests/simulation/sim_watchers.h"

#include <algorithm>
#include <utility>

#include "store/key_value.h"

namespace simulation {
namespace {

constexpr size_t kClients = 6;

std::string Joined(const std::vector<mvccpb::Event>& events) {
  std::string all;
  for (const mvccpb::Event& event : events) all += event.SerializeAsString();
  return all;
}

// Small, so that everything happens.
store::WatchHubOptions HubOptions(base::Random* random) {
  store::WatchHubOptions options;
  options.change_bytes_max = random->Chance(0.5) ? 2'000 : 1 << 20;
  options.stream_bytes_max = random->Between(2'000, 10'000);
  options.response_bytes = random->Between(100, 2'000);
  options.part_bytes = random->Between(100, 4'000);
  options.progress_interval = std::chrono::seconds(1);
  options.random_seed = random->Next();
  return options;
}

}  // namespace

// What was sent and not read yet.
class SimWatchers::Sink final : public store::WatchSink {
 public:
  size_t Send(std::string response) override {
    bytes += response.size();
    waiting.push_back(std::move(response));
    return bytes;
  }
  void End(absl::Status) override { ended = true; }

  std::deque<std::string> waiting;
  size_t bytes = 0;
  bool ended = false;
};

SimWatchers::SimWatchers(uint64_t seed, Checker* checker)
    : checker_(checker), random_(seed ^ 0x77617463686572) {
  for (size_t i = 0; i < kClients; ++i) {
    clients_.emplace_back().request = SomeRequest();
  }
}

etcdserverpb::WatchCreateRequest SimWatchers::SomeRequest() {
  etcdserverpb::WatchCreateRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_prev_kv(random_.Chance(0.5));
  request.set_fragment(random_.Chance(0.3));
  request.set_progress_notify(random_.Chance(0.5));
  if (random_.Chance(0.2)) request.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (random_.Chance(0.2)) request.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  return request;
}

SimWatchers::Station::Station(SimWatchers* all, store::KvMachine* machine)
    : all_(all),
      machine_(machine),
      hub_(HubOptions(&all->random_), machine, [] { return uint64_t{1}; }) {
  all_->stations_.push_back(this);
  machine_->set_observer(this);
}

SimWatchers::Station::~Station() {
  Distrust();
  std::erase(all_->stations_, this);
}

void SimWatchers::Station::Distrust() {
  trusted_ = false;
  for (Client& client : all_->clients_) {
    if (client.at == this) all_->Leave(&client);
  }
}

void SimWatchers::Station::OnChanges(store::ChangeBatch batch) {
  std::map<int64_t, std::vector<mvccpb::Event>> by_revision;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto change = batch.Decode(i);
    if (!change.ok()) return all_->checker_->Fail("a change that cannot be read");
    mvccpb::Event& event = by_revision[batch.revision(i).main].emplace_back();
    if (change->kind == store::ChangeKind::kPut) {
      store::FillKeyValue(change->key, change->datum, event.mutable_kv());
    } else {
      event.set_type(mvccpb::Event::DELETE);
      event.mutable_kv()->set_key(std::string(change->key));
      event.mutable_kv()->set_mod_revision(batch.revision(i).main);
    }
  }
  if (trusted_) {
    for (auto& [revision, events] : by_revision) all_->Record(revision, std::move(events));
  }
  if (hub_.wanted()) hub_.OnChanges(std::move(batch));
}

void SimWatchers::Station::OnInstall(int64_t revision_before, int64_t revision) {
  // It came from a leader, and is what the log says.
  trusted_ = true;
  hub_.OnInstall(revision_before, revision);
}

void SimWatchers::Station::Turn(base::TimePoint now) {
  if (machine_->lost()) Distrust();
  if (!trusted_) return;
  base::Random& random = all_->random_;
  for (Client& client : all_->clients_) {
    if (client.at == nullptr && random.Chance(0.1)) all_->Sit(&client, this);
    if (client.at == this && random.Chance(0.01)) all_->Leave(&client);
    if (client.at == this && random.Chance(0.2)) {
      etcdserverpb::WatchRequest progress;
      progress.mutable_progress_request();
      hub_.Request(client.stream, std::move(progress)).IgnoreError();
    }
  }
  TurnHub(now);
  for (Client& client : all_->clients_) {
    if (client.at == this) all_->Read(&client, random.Below(4));
  }
}

bool SimWatchers::Station::TurnHub(base::TimePoint now) {
  // What is read later was sent in some turn; an install may bring an older state between them.
  compacted_ = std::max(compacted_, machine_->compact_revision());
  return hub_.Turn(now);
}

void SimWatchers::Record(int64_t revision, std::vector<mvccpb::Event> events) {
  std::string bytes = Joined(events);
  const auto [known, added] = recorded_.emplace(revision, bytes);
  if (!added) {
    if (known->second != bytes) {
      checker_->Fail("two members made different changes at revision " + std::to_string(revision));
    }
    return;
  }
  early_.emplace(revision, std::move(events));
  for (auto at = early_.begin(); at != early_.end() && at->first == next_revision_;
       at = early_.erase(at), ++next_revision_) {
    for (mvccpb::Event& event : at->second) {
      const auto before = newest_.find(event.kv().key());
      if (before != newest_.end()) *event.mutable_prev_kv() = before->second;
      history_.Add(event);
      if (event.type() == mvccpb::Event::PUT) {
        newest_[event.kv().key()] = event.kv();
      } else if (before != newest_.end()) {
        newest_.erase(before);
      }
    }
  }
}

void SimWatchers::Sit(Client* client, Station* station) {
  if (client->checker != nullptr) {
    if (client->checker->created())
      client->request.set_start_revision(client->checker->resume_from());
    left_.push_back(std::move(client->checker));
  }
  client->checker = std::make_unique<watch_check::WatchChecker>(client->request);
  client->at = station;
  client->sink = std::make_shared<Sink>();
  client->stream = station->hub_.Open(client->sink);
  etcdserverpb::WatchRequest request;
  *request.mutable_create_request() = client->request;
  const absl::Status taken = station->hub_.Request(client->stream, std::move(request));
  if (!taken.ok()) checker_->Fail("a watcher is not taken: " + std::string(taken.message()));
}

void SimWatchers::Leave(Client* client) {
  client->at->hub_.Close(client->stream);
  client->at = nullptr;
  client->stream.reset();
  client->sink.reset();
}

void SimWatchers::Read(Client* client, size_t responses_max) {
  for (; responses_max > 0 && !client->sink->waiting.empty(); --responses_max) {
    const std::string bytes = std::move(client->sink->waiting.front());
    client->sink->waiting.pop_front();
    client->sink->bytes -= bytes.size();
    etcdserverpb::WatchResponse response;
    if (!response.ParseFromString(bytes)) checker_->Fail("a watch response that cannot be read");
    if (const auto wrong = client->checker->OnResponse(response, client->at->compacted_)) {
      checker_->Fail("watch: " + *wrong);
    }
    if (client->checker->cancelled()) return Leave(client);
  }
  if (client->sink->waiting.empty()) {
    if (client->sink->ended) return Leave(client);
    client->at->hub_.Drained(client->stream);
  }
}

void SimWatchers::Finish(base::TimePoint now) {
  const auto best =
      std::max_element(stations_.begin(), stations_.end(), [](const Station* a, const Station* b) {
        return std::pair(a->trusted(), a->revision()) < std::pair(b->trusted(), b->revision());
      });
  if (best == stations_.end() || !(*best)->trusted()) return;
  Station* const station = *best;
  const int64_t revision = station->revision();
  for (Client& client : clients_) {
    if (client.at != nullptr && client.at != station) Leave(&client);
    // A compaction may cancel it once more.
    for (int tries = 0; tries < 3 && checker_->violation().empty(); ++tries) {
      if (client.at == nullptr) Sit(&client, station);
      for (int quiet = 0; quiet < 3 && client.at != nullptr && checker_->violation().empty();) {
        const bool busy = station->TurnHub(now) || !client.sink->waiting.empty();
        quiet = busy ? 0 : quiet + 1;
        Read(&client, SIZE_MAX);
      }
      if (client.at != nullptr) break;
    }
    if (client.at == nullptr) checker_->Fail("watch: a watcher finds no rest");
    if (const auto wrong = client.checker->Finish(history_, revision)) {
      checker_->Fail("watch: " + *wrong);
    }
  }
  for (const auto& checker : left_) {
    // It may have been left between the pieces of an answer; the next one begins there.
    if (!checker->created() || checker->in_pieces()) continue;
    if (const auto wrong = checker->Finish(history_, 0)) checker_->Fail("watch: " + *wrong);
  }
}

}  // namespace simulation
