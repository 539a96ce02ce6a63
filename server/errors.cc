// SPDX-License-Identifier: Apache-2.0

#include "server/errors.h"

#include <optional>

#include "glog/logging.h"
#include "store/errors.h"

namespace server {
namespace {

using absl::StatusCode;

struct Row {
  WireError error;
  StatusCode code;
  // May a write that ended so be sent again?
  bool retry_write;
  const char* text;
};

// Unavailable is what clients retry reads on; whether a write may be retried is our own column.
constexpr Row kTable[] = {
    {WireError::kEmptyKey, StatusCode::kInvalidArgument, false, "etcdserver: key is not provided"},
    {WireError::kKeyNotFound, StatusCode::kInvalidArgument, false, "etcdserver: key not found"},
    {WireError::kValueProvided, StatusCode::kInvalidArgument, false,
     "etcdserver: value is provided"},
    {WireError::kLeaseProvided, StatusCode::kInvalidArgument, false,
     "etcdserver: lease is provided"},
    {WireError::kTooManyOps, StatusCode::kInvalidArgument, false,
     "etcdserver: too many operations in txn request"},
    {WireError::kDuplicateKey, StatusCode::kInvalidArgument, false,
     "etcdserver: duplicate key given in txn request"},
    {WireError::kInvalidSortOption, StatusCode::kInvalidArgument, false,
     "etcdserver: invalid sort option"},
    {WireError::kCompacted, StatusCode::kOutOfRange, false,
     "etcdserver: mvcc: required revision has been compacted"},
    {WireError::kFutureRevision, StatusCode::kOutOfRange, false,
     "etcdserver: mvcc: required revision is a future revision"},
    {WireError::kNoSpace, StatusCode::kResourceExhausted, false,
     "etcdserver: mvcc: database space exceeded"},
    {WireError::kLeaseNotFound, StatusCode::kNotFound, false,
     "etcdserver: requested lease not found"},
    {WireError::kLeaseExists, StatusCode::kFailedPrecondition, false,
     "etcdserver: lease already exists"},
    {WireError::kLeaseTtlTooLarge, StatusCode::kOutOfRange, false,
     "etcdserver: too large lease TTL"},
    {WireError::kRequestTooLarge, StatusCode::kInvalidArgument, false,
     "etcdserver: request is too large"},
    {WireError::kTooManyRequests, StatusCode::kResourceExhausted, true,
     "etcdserver: too many requests"},
    {WireError::kNoLeader, StatusCode::kUnavailable, true, "etcdserver: no leader"},
    {WireError::kLeaderChanged, StatusCode::kUnavailable, true, "etcdserver: leader changed"},
    {WireError::kStopped, StatusCode::kUnavailable, false, "etcdserver: server stopped"},
    {WireError::kTimeout, StatusCode::kUnavailable, false, "etcdserver: request timed out"},
    {WireError::kTimeoutLeaderFailed, StatusCode::kUnavailable, false,
     "etcdserver: request timed out, possibly due to previous leader failure"},
    {WireError::kTimeoutWaitApplied, StatusCode::kUnavailable, false,
     "etcdserver: request timed out, waiting for the applied index took too long"},
    {WireError::kCorrupt, StatusCode::kDataLoss, false, "etcdserver: corrupt cluster"},
    {WireError::kUnknownMethod, StatusCode::kUnknown, false, "etcdserver: unknown method"},
    {WireError::kMemberExists, StatusCode::kFailedPrecondition, false,
     "etcdserver: member ID already exist"},
    {WireError::kPeerUrlExists, StatusCode::kFailedPrecondition, false,
     "etcdserver: Peer URLs already exists"},
    {WireError::kMemberNotEnoughStarted, StatusCode::kFailedPrecondition, true,
     "etcdserver: re-configuration failed due to not enough started members"},
    {WireError::kMemberBadUrls, StatusCode::kInvalidArgument, false,
     "etcdserver: given member URLs are invalid"},
    {WireError::kMemberNotFound, StatusCode::kNotFound, false, "etcdserver: member not found"},
    {WireError::kMemberNotLearner, StatusCode::kFailedPrecondition, false,
     "etcdserver: can only promote a learner member"},
    {WireError::kLearnerNotReady, StatusCode::kFailedPrecondition, true,
     "etcdserver: can only promote a learner member which is in sync with leader"},
    {WireError::kTooManyLearners, StatusCode::kFailedPrecondition, false,
     "etcdserver: too many learner members in cluster"},
    {WireError::kNotSupportedForLearner, StatusCode::kFailedPrecondition, true,
     "etcdserver: rpc not supported for learner"},
    {WireError::kNotLeader, StatusCode::kFailedPrecondition, true, "etcdserver: not leader"},
    {WireError::kBadLeaderTransferee, StatusCode::kFailedPrecondition, false,
     "etcdserver: bad leader transferee"},
    {WireError::kTransferTimeout, StatusCode::kUnknown, true,
     "etcdserver: request timed out, leader transfer took too long"},
    {WireError::kUnhealthy, StatusCode::kUnavailable, true, "etcdserver: unhealthy cluster"},
    {WireError::kStateLost, StatusCode::kUnavailable, true,
     "datum: this member's state is lost and is being fetched from the leader; ask another member"},
    {WireError::kDowngradeVersionFormat, StatusCode::kInvalidArgument, false,
     "etcdserver: wrong downgrade target version format"},
    {WireError::kDowngradeTarget, StatusCode::kInvalidArgument, false,
     "etcdserver: invalid downgrade target version"},
    {WireError::kAnswerMemoryFull, StatusCode::kResourceExhausted, true,
     "datum: the memory for large answers is taken by answers that clients have not read; try "
     "again, ask for less (limit), or use RangeStream"},
    {WireError::kStreamSort, StatusCode::kUnimplemented, false,
     "RangeStream does not support custom sort orders"},
    {WireError::kStreamFilter, StatusCode::kUnimplemented, false,
     "RangeStream does not support revision filters"},
};
static_assert(sizeof(kTable) / sizeof(kTable[0]) == kWireErrorCount);

const Row& RowOf(WireError error) {
  const Row& row = kTable[static_cast<size_t>(error)];
  CHECK(row.error == error) << "the table is not in the order of the enum";
  return row;
}

// Nothing if the store's own code and text are what goes on the wire.
std::optional<WireError> Named(store::Error error) {
  switch (error) {
    case store::Error::kCompacted:
      return WireError::kCompacted;
    case store::Error::kFutureRevision:
      return WireError::kFutureRevision;
    case store::Error::kKeyNotFound:
      return WireError::kKeyNotFound;
    case store::Error::kLeaseNotFound:
      return WireError::kLeaseNotFound;
    case store::Error::kLeaseExists:
      return WireError::kLeaseExists;
    case store::Error::kLeaseTtlTooLarge:
      return WireError::kLeaseTtlTooLarge;
    case store::Error::kNoSpace:
      return WireError::kNoSpace;
    case store::Error::kCorrupt:
      return WireError::kCorrupt;
    case store::Error::kAnswerTooLarge:
    case store::Error::kMemberExists:
    case store::Error::kPeerUrlExists:
    case store::Error::kMemberNotFound:
    case store::Error::kMemberNotLearner:
    case store::Error::kMemberBound:
    case store::Error::kOtherTerm:
      break;  // their own texts go on the wire
    case store::Error::kUnknownRequest:
    case store::Error::kUndecodable:
      return WireError::kUnknownMethod;
  }
  return std::nullopt;
}

}  // namespace

absl::Status ErrorStatus(WireError error) {
  const Row& row = RowOf(error);
  return absl::Status(row.code, row.text);
}

bool MayRetryWrite(WireError error) { return RowOf(error).retry_write; }

absl::Status FromStore(const absl::Status& status) {
  const auto named = store::ErrorOf(status);
  // What could not be read here can be read elsewhere: the client shall ask there.
  if (!named.has_value()) {
    return absl::IsDataLoss(status) ? ErrorStatus(WireError::kStateLost) : status;
  }
  // One that says how much is too much has no row in etcd's table.
  const std::optional<WireError> wire = Named(*named);
  return wire.has_value() ? ErrorStatus(*wire) : absl::Status(status.code(), status.message());
}

absl::Status FromPublish(raft::PublishOutcome::Kind kind, bool leader_lost_meanwhile) {
  switch (kind) {
    case raft::PublishOutcome::Kind::kDropped:
      return ErrorStatus(WireError::kLeaderChanged);
    case raft::PublishOutcome::Kind::kUnknown:
      return ErrorStatus(leader_lost_meanwhile ? WireError::kTimeoutLeaderFailed
                                               : WireError::kTimeout);
    case raft::PublishOutcome::Kind::kRefused:
      return ErrorStatus(WireError::kTooManyRequests);
    case raft::PublishOutcome::Kind::kNoLeader:
      return ErrorStatus(WireError::kNoLeader);
    case raft::PublishOutcome::Kind::kLearnerNotReady:
      return ErrorStatus(WireError::kLearnerNotReady);
    // Another change was under way until the deadline, or no leader had begun its term.
    case raft::PublishOutcome::Kind::kConfigurationChanged:
      return ErrorStatus(WireError::kTimeout);
    case raft::PublishOutcome::Kind::kBadConfiguration:
      return ErrorStatus(WireError::kUnhealthy);
    case raft::PublishOutcome::Kind::kApplied:
      break;
  }
  LOG(FATAL) << "an applied publish has its answer";
  return absl::OkStatus();
}

absl::Status FromRead(raft::ReadOutcome outcome) {
  switch (outcome) {
    case raft::ReadOutcome::kTimedOut:
      return ErrorStatus(WireError::kTimeout);
    case raft::ReadOutcome::kNoLeader:
      return ErrorStatus(WireError::kNoLeader);
    case raft::ReadOutcome::kLeaderChanged:
      return ErrorStatus(WireError::kLeaderChanged);
    case raft::ReadOutcome::kRefused:
      return ErrorStatus(WireError::kTooManyRequests);
    case raft::ReadOutcome::kStopped:
      return ErrorStatus(WireError::kStopped);
    case raft::ReadOutcome::kReady:
      break;
  }
  LOG(FATAL) << "a read that is ready is no error";
  return absl::OkStatus();
}

}  // namespace server
