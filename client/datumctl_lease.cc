// SPDX-License-Identifier: Apache-2.0

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/datumctl_command.h"
#include "client/lease.h"

namespace client {
namespace {

int KeepAlive(Command* command, int64_t id) {
  if (command->arguments.lease.once) {
    const auto response = command->client->LeaseKeepAlive(id);
    if (!response.ok()) return Fail(response.status(), kFailed);
    if (response->ttl() <= 0) {
      return Fail(absl::NotFoundError("etcdserver: requested lease not found"), kFailed);
    }
    command->printer->LeaseKept(*response);
    return kDone;
  }
  Printer* printer = command->printer.get();
  const LeaseKeeper keeper(*command->client, id,
                           {.on_kept = [printer](const etcdserverpb::LeaseKeepAliveResponse& kept) {
                             printer->LeaseKept(kept);
                             std::cout.flush();
                           }});
  keeper.WaitUntilLost(absl::InfiniteDuration());
  // etcdctl says so in every case; that no server answers is worth an error.
  if (!absl::IsNotFound(keeper.status())) return Fail(keeper.status(), kFailed);
  if (command->arguments.format == OutputFormat::kSimple) {
    std::cout << absl::StrFormat("lease %016x expired or revoked.\n", id);
  }
  return kDone;
}

int OfOneLease(Command* command) {
  const auto id = ParseLeaseId(command->arguments.lease.id);
  if (!id.ok()) return Fail(id.status(), kBadUsage);
  if (command->arguments.verb == Verb::kLeaseKeepAlive) return KeepAlive(command, *id);
  if (command->arguments.verb == Verb::kLeaseRevoke) {
    const auto response = command->client->LeaseRevoke(*id);
    if (!response.ok()) {
      const std::string text(response.status().message());
      return Fail(absl::Status(response.status().code(),
                               absl::StrCat("failed to revoke lease (", text, ")")),
                  kFailed);
    }
    command->printer->LeaseRevoked(*id, *response);
    return kDone;
  }
  const bool with_keys = command->arguments.lease.keys;
  const auto response = command->client->LeaseTimeToLive(*id, with_keys);
  if (!response.ok()) return Fail(response.status(), kFailed);
  command->printer->LeaseTime(*response, with_keys);
  return kDone;
}

}  // namespace

int RunLease(Command* command) {
  switch (command->arguments.verb) {
    case Verb::kLeaseGrant: {
      const auto response = command->client->LeaseGrant(command->arguments.lease.ttl_seconds);
      if (!response.ok()) {
        const std::string text(response.status().message());
        return Fail(absl::Status(response.status().code(),
                                 absl::StrCat("failed to grant lease (", text, ")")),
                    kFailed);
      }
      command->printer->LeaseGranted(*response);
      return kDone;
    }
    case Verb::kLeaseList: {
      const auto response = command->client->Leases();
      if (!response.ok()) return Fail(response.status(), kFailed);
      command->printer->Leases(*response);
      return kDone;
    }
    default:
      return OfOneLease(command);
  }
}

}  // namespace client
