// SPDX-License-Identifier: Apache-2.0

#include "server/introducer.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "glog/logging.h"
#include "rpc/grpc_server.h"
#include "rpc/typed.h"

namespace server {
namespace {

using datum::peer::IntroduceRequest;
using datum::peer::IntroduceResponse;

constexpr base::Duration kRoundPause = std::chrono::milliseconds(100);
// A leader may need so long to write down who this is.
constexpr base::Duration kAnswerTimeout = std::chrono::seconds(6);
constexpr base::Duration kLogPause = std::chrono::seconds(10);

// Waits, on a condition that nobody fulfils.
void Pause(base::Duration pause) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, pause, [] { return false; });
}

bool SomebodyLives(const std::vector<IntroduceResponse>& answers) {
  return std::any_of(answers.begin(), answers.end(), [](const IntroduceResponse& answer) {
    return answer.state() == IntroduceResponse::LIVING;
  });
}

std::string TextOf(const absl::StatusOr<IntroduceResponse>& answer, Seen seen) {
  if (!answer.ok()) return std::string(answer.status().message());
  if (!answer->why().empty()) return answer->why();
  if (seen == Seen::kJoins) return "waits too, with --initial-cluster-state=existing";
  return answer->state() == IntroduceResponse::FOUNDING ? "starts too" : "undecided";
}

}  // namespace

Introducer::Introducer(const Config& config, const InitialCluster& initial,
                       std::string data_dir_uuid, const base::Clock* clock)
    : config_(config), initial_(initial), uuid_(std::move(data_dir_uuid)), clock_(clock) {}

std::vector<Introducer::Other> Introducer::Others() const {
  std::vector<Other> others;
  for (const InitialMember& member : initial_.members) {
    if (member.id == initial_.self) continue;
    for (const std::string& url : member.peer_urls) {
      const auto parsed = ParseUrl(url);
      if (!parsed.ok()) continue;
      others.push_back(
          {member.id, parsed->Address(), std::make_unique<rpc::UnaryClient>(parsed->Address())});
    }
  }
  return others;
}

IntroduceRequest Introducer::Request() const {
  IntroduceRequest request;
  // The flags of one that joins name members that the cluster did not begin with.
  if (config_.initial_cluster_state == "new") request.set_cluster_id(initial_.cluster_id);
  request.set_name(config_.name);
  for (const std::string& url : config_.initial_advertise_peer_urls) request.add_peer_urls(url);
  request.set_data_dir_uuid(uuid_);
  request.set_cluster_token(config_.initial_cluster_token);
  return request;
}

std::vector<Introducer::Answered> Introducer::Ask(const std::vector<Other>& others) const {
  const std::string request = Request().SerializeAsString();
  std::vector<std::future<absl::StatusOr<std::string>>> calls;
  for (const Other& other : others) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<std::string>>>();
    calls.push_back(promise->get_future());
    other.client->Call(
        kIntroduceMethod, request, kAnswerTimeout,
        [promise](absl::StatusOr<std::string> answer) { promise->set_value(std::move(answer)); });
  }
  std::vector<Answered> answers;
  for (size_t i = 0; i < others.size(); ++i) {
    const absl::StatusOr<std::string> bytes = calls[i].get();
    answers.push_back({others[i].member, others[i].address,
                       bytes.ok() ? rpc::Decode<IntroduceResponse>(*bytes) : bytes.status()});
  }
  return answers;
}

IntroduceResponse Introducer::Answer(const IntroduceRequest& request) const {
  IntroduceResponse response;
  response.set_waits(true);
  response.set_state(IntroduceResponse::FOUNDING);
  if (heard_living_) {
    response.set_state(IntroduceResponse::LIVING);
    response.set_why("waits too, and has heard a cluster that lives");
  }
  response.set_data_dir_uuid(uuid_);
  response.set_answerer(initial_.self);
  // One that joins founds nothing: it has no cluster to agree about.
  if (config_.initial_cluster_state == "new") response.set_cluster_id(initial_.cluster_id);
  if (request.cluster_id() != 0 && request.cluster_id() != initial_.cluster_id) {
    response.set_outcome(IntroduceResponse::REFUSED);
    response.set_why(absl::StrCat("the flags of ", config_.name,
                                  " are those of another cluster: compare --initial-cluster and "
                                  "--initial-cluster-token"));
  }
  return response;
}

Introduced Introducer::Found(const std::vector<IntroduceResponse>& answers) const {
  Introduced introduced;
  introduced.cluster_id = initial_.cluster_id;
  introduced.member_id = initial_.self;
  for (const InitialMember& initial : initial_.members) {
    Member member;
    member.id = initial.id;
    member.name = initial.name;
    member.peer_urls = initial.peer_urls;
    if (initial.id == initial_.self) member.data_dir_uuid = uuid_;
    for (const IntroduceResponse& answer : answers) {
      if (answer.answerer() == initial.id) member.data_dir_uuid = answer.data_dir_uuid();
    }
    introduced.founders.push_back(member);
    introduced.known[initial.id] = {initial.name, initial.peer_urls};
  }
  return introduced;
}

// What its forgotten self may have voted in the leader's term and before is past: in that term it
// has voted for the leader.
Introduced Introducer::Join(const IntroduceResponse& answer) const {
  Introduced introduced;
  introduced.cluster_id = answer.cluster_id();
  introduced.member_id = answer.member_id();
  introduced.hard_state.current_term = raft::Term(answer.term());
  introduced.hard_state.voted_for = raft::NodeId(answer.leader());
  // One that was a member before and is not known to have been may have acknowledged entries: it
  // votes once it has all that the leader has committed.
  introduced.hard_state.doubtful = answer.outcome() == IntroduceResponse::BOUND;
  for (const auto& member : answer.members()) {
    introduced.known[member.id()] = {member.name(),
                                     {member.peer_urls().begin(), member.peer_urls().end()}};
  }
  return introduced;
}

// Who knows the member says by which commands it is replaced; before that only this can be said.
void Introducer::LogWaiting(bool may_found, const std::vector<Answered>& answers) {
  if (clock_->Now() < log_due_) return;
  log_due_ = clock_->Now() + kLogPause;
  std::vector<std::string> lines;
  std::map<uint64_t, Seen> others;
  for (const Answered& answered : answers) {
    const Seen seen = answered.response.ok() ? SeenAs(*answered.response) : Seen::kDown;
    lines.push_back(absl::StrCat(answered.address, ": ", TextOf(answered.response, seen)));
    // Of several URLs one that answers is enough.
    Seen& known = others.try_emplace(answered.member, seen).first->second;
    if (known == Seen::kDown) known = seen;
  }
  const std::string helps =
      WhatHelps(others, config_.initial_cluster_state == "existing", heard_living_);
  LOG(WARNING) << config_.name << " has an empty data directory and waits until "
               << (may_found ? "a quorum of the initial members is there, or a cluster that lives "
                               "says who it is"
                             : "the cluster that lives says who it is")
               << ". " << absl::StrJoin(lines, "; ")
               << (helps.empty() ? "" : ". What helps: " + helps);
}

absl::StatusOr<Introduced> Introducer::Run(bool may_found,
                                           const std::function<void()>& heard_living,
                                           const std::function<bool()>& stop_asked) {
  heard_living_ = config_.initial_cluster_state == "new" && !may_found;
  const std::vector<Other> others = Others();
  if (others.empty()) {
    if (may_found) return Found({});
    return absl::FailedPreconditionError(
        "--initial-cluster-state: 'existing' needs the other members in --initial-cluster");
  }
  rpc::Registry registry;
  registry.AddUnary(kIntroduceMethod, rpc::TypedUnary<IntroduceRequest>(
                                          [this](const rpc::Call&, const IntroduceRequest& request,
                                                 const rpc::UnaryDone& done) {
                                            rpc::Reply(done, absl::OkStatus(), Answer(request));
                                          }));
  rpc::GrpcServerOptions options;
  for (const std::string& url : config_.listen_peer_urls) {
    ASSIGN_OR_RETURN(const HostPort parsed, ParseUrl(url));
    options.addresses.push_back(parsed.Address());
  }
  ASSIGN_OR_RETURN(const auto server, rpc::GrpcServer::Start(options, &registry, clock_));
  for (;;) {
    const std::vector<Answered> answered = Ask(others);
    std::vector<IntroduceResponse> answers;
    for (const Answered& answer : answered) {
      if (answer.response.ok()) answers.push_back(*answer.response);
    }
    const StartDecision decision = DecideStart(may_found, initial_, answers);
    if (decision.kind == StartDecision::Kind::kFound) return Found(answers);
    if (decision.kind == StartDecision::Kind::kJoin) return Join(decision.answer);
    // Beside a cluster that lives none is founded, though it be silent from now on.
    if (may_found && SomebodyLives(answers)) {
      heard_living();
      heard_living_ = true;
      may_found = false;
    }
    LogWaiting(may_found, answered);
    if (stop_asked()) return absl::CancelledError("ended while waiting for the other members");
    Pause(kRoundPause);
  }
}

}  // namespace server
