// SPDX-License-Identifier: Apache-2.0
//
// errors.h: what the store refuses, by name, carried in an absl::Status.
//
// The server maps these to etcd's codes and texts; the texts here are the same, for logs.

#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"

namespace store {

enum class Error : uint8_t {
  kCompacted,
  kFutureRevision,
  kKeyNotFound,
  kLeaseNotFound,
  kLeaseExists,
  kLeaseTtlTooLarge,
  kNoSpace,
  kCorrupt,
  // A command of a kind that this version does not know.
  kUnknownRequest,
  // A command whose bytes are no request at all.
  kUndecodable,
  // Alone among these it does not say that nothing was written: only the answer is missing.
  kAnswerTooLarge,
  // The id is or was a member's.
  kMemberExists,
  kPeerUrlExists,
  kMemberNotFound,
  kMemberNotLearner,
  // The member lives in another data directory.
  kMemberBound,
  // The command was meant for entries of another term.
  kOtherTerm,
};
inline constexpr int kErrorCount = 17;

absl::Status ErrorStatus(Error error);

// kAnswerTooLarge of a read, and of a command, which was applied all the same.
absl::Status ReadAnswerTooLarge(uint64_t bytes_max);
absl::Status AppliedAnswerTooLarge(uint64_t bytes_max);

// The error that ErrorStatus put into `status`; nothing for OK and for statuses from elsewhere.
std::optional<Error> ErrorOf(const absl::Status& status);

}  // namespace store
