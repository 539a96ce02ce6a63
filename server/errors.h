// SPDX-License-Identifier: Apache-2.0
//
// errors.h: the one table of what etcd's clients may be told, code and exact text.
//
// Clients match on the text, so a row is never reworded.

#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "raft/node/node.h"

namespace server {

enum class WireError : uint8_t {
  kEmptyKey,
  kKeyNotFound,
  kValueProvided,
  kLeaseProvided,
  kTooManyOps,
  kDuplicateKey,
  kInvalidSortOption,
  kCompacted,
  kFutureRevision,
  kNoSpace,
  kLeaseNotFound,
  kLeaseExists,
  kLeaseTtlTooLarge,
  kRequestTooLarge,
  kTooManyRequests,
  kNoLeader,
  kLeaderChanged,
  kStopped,
  kTimeout,
  kTimeoutLeaderFailed,
  kTimeoutWaitApplied,
  kCorrupt,
  kUnknownMethod,
  kMemberExists,
  kPeerUrlExists,
  kMemberNotEnoughStarted,
  kMemberBadUrls,
  kMemberNotFound,
  kMemberNotLearner,
  kLearnerNotReady,
  kTooManyLearners,
  kNotSupportedForLearner,
  kNotLeader,
  kBadLeaderTransferee,
  kTransferTimeout,
  kUnhealthy,
  kStateLost,
  kDowngradeVersionFormat,
  kDowngradeTarget,
  kAnswerMemoryFull,
  kStreamSort,
  kStreamFilter,
};
inline constexpr int kWireErrorCount = 42;

absl::Status ErrorStatus(WireError error);

// Surely nothing was written: the same request may be sent again without running twice.
bool MayRetryWrite(WireError error);

// What the store said, as it goes on the wire. A status that the store did not name passes.
absl::Status FromStore(const absl::Status& status);

// Why a publish has no answer from the store. Requires: outcome.kind is not kApplied.
// `leader_lost_meanwhile`: since the request came, this member has known no leader for a while.
absl::Status FromPublish(raft::PublishOutcome::Kind kind, bool leader_lost_meanwhile);

// Why a read may not be served. Requires: outcome is not kReady.
absl::Status FromRead(raft::ReadOutcome outcome);

}  // namespace server
