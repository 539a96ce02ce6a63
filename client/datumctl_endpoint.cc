// SPDX-License-Identifier: Apache-2.0

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/time.h"
#include "client/datumctl_command.h"
#include "client/datumctl_text.h"
#include "client/request.h"

namespace client {
namespace {

int Status(Command* command) {
  int code = kDone;
  std::vector<EndpointStatus> statuses;
  for (const std::string& endpoint : command->client->endpoints()) {
    auto response = command->client->Status(endpoint);
    if (response.ok()) {
      statuses.push_back({endpoint, *std::move(response)});
      continue;
    }
    std::cerr << "Failed to get the status of endpoint " << endpoint << " ("
              << response.status().message() << ")\n";
    code = kFailed;
  }
  command->printer->Status(statuses);
  return code;
}

// A linearizable read through this endpoint alone, and its alarms.
EndpointHealth HealthOf(const Options& all, const std::string& endpoint) {
  EndpointHealth health{.endpoint = endpoint};
  Options options = all;
  options.endpoints = {endpoint};
  const auto single = Client::Create(options);
  if (!single.ok()) {
    health.error = std::string(single.status().message());
    return health;
  }
  const base::SystemClock clock;
  const base::TimePoint start = clock.Now();
  const auto read = (*single)->Range(RangeOf("health"));
  health.took = GoDuration(absl::FromChrono(clock.Now() - start));
  // Who may not read it is answered by the cluster all the same.
  if (!read.ok() && !absl::IsPermissionDenied(read.status())) {
    health.error = std::string(read.status().message());
    return health;
  }
  const auto alarms = (*single)->Alarms();
  if (!alarms.ok()) {
    health.error = "Unable to fetch the alarm list";
  } else if (!alarms->alarms().empty()) {
    health.error = "Active Alarm(s): ";
    for (const etcdserverpb::AlarmMember& alarm : alarms->alarms()) {
      absl::StrAppend(&health.error, etcdserverpb::AlarmType_Name(alarm.alarm()), " ");
    }
  }
  health.healthy = health.error.empty();
  return health;
}

int Health(Command* command) {
  std::vector<EndpointHealth> healths;
  bool all_healthy = true;
  for (const std::string& endpoint : command->client->endpoints()) {
    healths.push_back(HealthOf(command->arguments.options, endpoint));
    all_healthy = all_healthy && healths.back().healthy;
  }
  command->printer->Health(healths);
  if (all_healthy) return kDone;
  return Fail(absl::UnavailableError("unhealthy cluster"), kFailed);
}

int HashKv(Command* command) {
  int code = kDone;
  std::vector<EndpointHash> hashes;
  for (const std::string& endpoint : command->client->endpoints()) {
    auto response = command->client->HashKV(endpoint, command->arguments.hash_revision);
    if (response.ok()) {
      hashes.push_back({endpoint, *std::move(response)});
      continue;
    }
    std::cerr << "Failed to get the hash of endpoint " << endpoint << " ("
              << response.status().message() << ")\n";
    code = kFailed;
  }
  command->printer->Hashes(hashes);
  return code;
}

}  // namespace

int RunEndpoint(Command* command) {
  const absl::Status found = FindEndpoints(command);
  if (!found.ok()) return Fail(found, kFailed);
  switch (command->arguments.verb) {
    case Verb::kEndpointStatus:
      return Status(command);
    case Verb::kEndpointHealth:
      return Health(command);
    default:
      return HashKv(command);
  }
}

int RunAlarm(Command* command) {
  const auto alarms = command->client->Alarms();
  if (!alarms.ok()) return Fail(alarms.status(), kFailed);
  if (command->arguments.verb == Verb::kAlarmList) {
    command->printer->Alarms(*alarms);
    return kDone;
  }
  // One by one, as Go's client does it; the answer has those that were on.
  etcdserverpb::AlarmResponse disarmed;
  for (const etcdserverpb::AlarmMember& alarm : alarms->alarms()) {
    const auto response = command->client->AlarmDisarm(alarm.memberid(), alarm.alarm());
    if (!response.ok()) return Fail(response.status(), kFailed);
    disarmed.mutable_alarms()->MergeFrom(response->alarms());
  }
  command->printer->Alarms(disarmed);
  return kDone;
}

int RunDefrag(Command* command) {
  const absl::Status found = FindEndpoints(command);
  if (!found.ok()) return Fail(found, kFailed);
  const base::SystemClock clock;
  int code = kDone;
  for (const std::string& endpoint : command->client->endpoints()) {
    const base::TimePoint start = clock.Now();
    const absl::Status done = command->client->Defragment(endpoint);
    const std::string took = GoDuration(absl::FromChrono(clock.Now() - start));
    if (done.ok()) {
      std::cout << "Finished defragmenting etcd member[" << endpoint << "]. took " << took
                << std::endl;
    } else {
      std::cerr << "Failed to defragment etcd member[" << endpoint << "]. took " << took << ". ("
                << done.message() << ")\n";
      code = kFailed;
    }
  }
  return code;
}

}  // namespace client
