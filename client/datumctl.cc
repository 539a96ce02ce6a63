// SPDX-License-Identifier: Apache-2.0
//
// datumctl.cc: the command line client.

#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "client/datumctl_arguments.h"
#include "client/datumctl_command.h"
#include "client/datumctl_print.h"
#include "client/datumctl_text.h"
#include "client/datumctl_txn.h"

namespace client {
namespace {

// As etcd counts: the API this program speaks.
constexpr std::string_view kVersion = "3.7.1";
constexpr std::string_view kApiVersion = "3.7";

std::string ReadStdin() {
  std::string all((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  return all;
}

// Keys and members: the verbs of one request and one answer.
class PlainVerbs {
 public:
  explicit PlainVerbs(Command* command)
      : arguments_(command->arguments), client_(*command->client), printer_(*command->printer) {}

  int Run() {
    switch (arguments_.verb) {
      case Verb::kGet:
        return Get();
      case Verb::kPut:
        return Put();
      case Verb::kDelete:
        return Delete();
      case Verb::kTxn:
        return Txn();
      case Verb::kCompaction:
        return Compact();
      case Verb::kMemberList:
        return Members();
      case Verb::kMemberAdd:
        return MemberAdd();
      case Verb::kMemberRemove:
      case Verb::kMemberUpdate:
      case Verb::kMemberPromote:
      case Verb::kMoveLeader:
        return ChangeMember();
      default:
        break;
    }
    std::cout << "datumctl version: " << kVersion << "\nAPI version: " << kApiVersion << "\n";
    return kDone;
  }

 private:
  int Get() {
    const bool simple = arguments_.format == OutputFormat::kSimple;
    if (arguments_.get.count_only && simple) {
      return Fail(absl::InvalidArgumentError("--count-only needs --write-out=fields or json"),
                  kBadUsage);
    }
    if (arguments_.get.print_value_only && !simple) {
      return Fail(absl::InvalidArgumentError("--print-value-only needs --write-out=simple"),
                  kBadUsage);
    }
    const auto request = RequestOf(arguments_.get);
    if (!request.ok()) return Fail(request.status(), kBadUsage);
    const auto response = client_.Range(*request);
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Get(*response);
    return kDone;
  }

  int Put() {
    const bool from_stdin = !arguments_.put.has_value && !arguments_.put.ignore_value;
    const auto request = RequestOf(arguments_.put, from_stdin ? ReadStdin() : "");
    if (!request.ok()) return Fail(request.status(), kBadUsage);
    const auto response = client_.Put(*request);
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Put(*response);
    return kDone;
  }

  int Delete() {
    const auto request = RequestOf(arguments_.del);
    if (!request.ok()) return Fail(request.status(), kBadUsage);
    if (arguments_.del.has_range_end && !arguments_.del.range) {
      std::cerr << "Warning: the keys from " << GoQuoted(arguments_.del.key) << " up to "
                << GoQuoted(arguments_.del.range_end)
                << " will be deleted in 2 seconds; ctrl-C stops that. --range leaves the pause "
                   "out.\n";
      absl::SleepFor(absl::Seconds(2));
    }
    const auto response = client_.DeleteRange(*request);
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Delete(*response);
    return kDone;
  }

  int Txn() {
    const auto request = ReadTxn(&std::cin, [this](std::string_view what) {
      if (arguments_.txn_interactive) std::cout << what << std::endl;
    });
    if (!request.ok()) return Fail(request.status(), kBadUsage);
    const auto response = client_.Txn(*request);
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Txn(*response);
    return kDone;
  }

  int Compact() {
    const auto response =
        client_.Compact(arguments_.compaction_revision, arguments_.compaction_physical);
    if (!response.ok()) return Fail(response.status(), kFailed);
    std::cout << "compacted revision " << arguments_.compaction_revision << "\n";
    return kDone;
  }

  int Members() {
    const std::string& consistency = arguments_.member_consistency;
    if (consistency != "l" && consistency != "s") {
      return Fail(absl::InvalidArgumentError(
                      absl::StrCat("--consistency is '", consistency, "', not l or s")),
                  kBadUsage);
    }
    const auto response = client_.MemberList(consistency == "l");
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Members(*response);
    return kDone;
  }

  int MemberAdd() {
    const MemberArguments& wanted = arguments_.member;
    const auto response = client_.MemberAdd(wanted.peer_urls, wanted.is_learner);
    if (!response.ok()) return Fail(response.status(), kFailed);
    const std::string id = HexOf(response->member().id());
    printer_.Changed(
        absl::StrCat("Member ", id, " added", wanted.is_learner ? " as learner" : "",
                     " to cluster ", absl::Hex(response->header().cluster_id(), absl::kZeroPad16)),
        *response);
    if (arguments_.format != OutputFormat::kSimple) return kDone;
    // What the new member is to be started with.
    std::vector<std::string> cluster;
    for (const etcdserverpb::Member& member : response->members()) {
      const bool is_new = member.id() == response->member().id();
      for (const std::string& url : member.peerurls()) {
        cluster.push_back(absl::StrCat(is_new ? wanted.name : member.name(), "=", url));
      }
    }
    std::cout << "\nETCD_NAME=\"" << wanted.name << "\"\nETCD_INITIAL_CLUSTER=\""
              << absl::StrJoin(cluster, ",") << "\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\""
              << absl::StrJoin(wanted.peer_urls, ",")
              << "\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n";
    return kDone;
  }

  template <typename Response>
  int Changed(const absl::StatusOr<Response>& response, const std::string& what) {
    if (!response.ok()) return Fail(response.status(), kFailed);
    printer_.Changed(absl::StrCat("Member ", arguments_.member.id, " ", what, " cluster ",
                                  absl::Hex(response->header().cluster_id(), absl::kZeroPad16)),
                     *response);
    return kDone;
  }

  int ChangeMember() {
    const auto id = ParseMemberId(arguments_.member.id);
    if (!id.ok()) return Fail(id.status(), kBadUsage);
    switch (arguments_.verb) {
      case Verb::kMemberRemove:
        return Changed(client_.MemberRemove(*id), "removed from");
      case Verb::kMemberUpdate:
        return Changed(client_.MemberUpdate(*id, arguments_.member.peer_urls), "updated in");
      case Verb::kMemberPromote:
        return Changed(client_.MemberPromote(*id), "promoted in");
      default:
        return MoveLeader(*id);
    }
  }

  // Of the endpoints only the leader can hand over.
  int MoveLeader(uint64_t to) {
    for (const std::string& endpoint : client_.endpoints()) {
      const auto status = client_.Status(endpoint);
      if (!status.ok() || status->leader() != status->header().member_id()) continue;
      const absl::Status moved = client_.MoveLeader(endpoint, to);
      if (!moved.ok()) return Fail(moved, kFailed);
      std::cout << "Leadership transferred from " << HexOf(status->leader()) << " to " << HexOf(to)
                << "\n";
      return kDone;
    }
    return Fail(absl::FailedPreconditionError("no leader endpoint given"), kFailed);
  }

  static std::string HexOf(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

  const Arguments& arguments_;
  const Client& client_;
  Printer& printer_;
};

int Run(Command* command) {
  switch (command->arguments.verb) {
    case Verb::kEndpointStatus:
    case Verb::kEndpointHealth:
    case Verb::kEndpointHashKv:
      return RunEndpoint(command);
    case Verb::kAlarmList:
    case Verb::kAlarmDisarm:
      return RunAlarm(command);
    case Verb::kDefrag:
      return RunDefrag(command);
    case Verb::kLeaseGrant:
    case Verb::kLeaseRevoke:
    case Verb::kLeaseTimeToLive:
    case Verb::kLeaseKeepAlive:
    case Verb::kLeaseList:
      return RunLease(command);
    case Verb::kLock:
      return RunLock(command);
    case Verb::kElect:
      return RunElect(command);
    case Verb::kWatch:
      return RunWatch(command);
    case Verb::kMakeMirror:
      return RunMakeMirror(command);
    case Verb::kCheckPerf:
      return RunCheckPerf(command);
    case Verb::kSnapshotSave:
    case Verb::kSnapshotStatus:
    case Verb::kSnapshotRestore:
      return RunSnapshot(command);
    default:
      return PlainVerbs(command).Run();
  }
}

int Main(const std::vector<std::string>& line) {
  ParsedLine parsed = ParseCommandLine(line);
  std::cout << parsed.out;
  std::cerr << parsed.error;
  if (!parsed.run) return parsed.exit_code;
  Command command{.arguments = std::move(parsed.arguments)};
  const Arguments& arguments = command.arguments;
  const Verb verb = arguments.verb;
  if (verb == Verb::kLock || verb == Verb::kElect || verb == Verb::kCheckPerf) BlockEndSignals();
  auto connected = Client::Create(arguments.options);
  if (!connected.ok()) return Fail(connected.status(), kBadUsage);
  command.client = *std::move(connected);
  command.printer = MakePrinter({.format = arguments.format,
                                 .hex = arguments.hex,
                                 .value_only = arguments.get.print_value_only},
                                &std::cout, &std::cerr);
  return Run(&command);
}

}  // namespace
}  // namespace client

int main(int argc, char** argv) {
  return client::Main(std::vector<std::string>(argv + 1, argv + argc));
}
