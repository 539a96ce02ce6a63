// SPDX-License-Identifier: Apache-2.0

#include "store/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace store {
namespace {

constexpr char kPayload[] = "datum/store.Error";

struct Text {
  absl::StatusCode code;
  const char* message;
};

Text TextOf(Error error) {
  switch (error) {
    case Error::kCompacted:
      return {absl::StatusCode::kOutOfRange,
              "etcdserver: mvcc: required revision has been compacted"};
    case Error::kFutureRevision:
      return {absl::StatusCode::kOutOfRange,
              "etcdserver: mvcc: required revision is a future revision"};
    case Error::kKeyNotFound:
      return {absl::StatusCode::kInvalidArgument, "etcdserver: key not found"};
    case Error::kLeaseNotFound:
      return {absl::StatusCode::kNotFound, "etcdserver: requested lease not found"};
    case Error::kLeaseExists:
      return {absl::StatusCode::kFailedPrecondition, "etcdserver: lease already exists"};
    case Error::kLeaseTtlTooLarge:
      return {absl::StatusCode::kOutOfRange, "etcdserver: too large lease TTL"};
    case Error::kNoSpace:
      return {absl::StatusCode::kResourceExhausted, "etcdserver: mvcc: database space exceeded"};
    case Error::kCorrupt:
      return {absl::StatusCode::kDataLoss, "etcdserver: corrupt cluster"};
    case Error::kUnknownRequest:
      return {absl::StatusCode::kUnknown, "etcdserver: unknown method"};
    case Error::kUndecodable:
      return {absl::StatusCode::kInternal, "the command's bytes are no request"};
    case Error::kAnswerTooLarge:
      return {absl::StatusCode::kResourceExhausted, "datum: the answer is larger than max"};
    case Error::kMemberExists:
      return {absl::StatusCode::kFailedPrecondition, "etcdserver: member ID already exist"};
    case Error::kPeerUrlExists:
      return {absl::StatusCode::kFailedPrecondition, "etcdserver: Peer URLs already exists"};
    case Error::kMemberNotFound:
      return {absl::StatusCode::kNotFound, "etcdserver: member not found"};
    case Error::kMemberNotLearner:
      return {absl::StatusCode::kFailedPrecondition,
              "etcdserver: can only promote a learner member"};
    case Error::kMemberBound:
      return {absl::StatusCode::kFailedPrecondition,
              "datum: the member was started with another data directory"};
    case Error::kOtherTerm:
      return {absl::StatusCode::kFailedPrecondition,
              "datum: the leader that decided this leads no more"};
  }
  LOG(FATAL) << "no such error: " << static_cast<int>(error);
  return {};
}

absl::Status Named(Error error, absl::StatusCode code, absl::string_view message) {
  absl::Status status(code, message);
  status.SetPayload(kPayload, absl::Cord(std::string(1, static_cast<char>(error))));
  return status;
}

}  // namespace

absl::Status ErrorStatus(Error error) {
  const Text text = TextOf(error);
  return Named(error, text.code, text.message);
}

absl::Status ReadAnswerTooLarge(uint64_t bytes_max) {
  return Named(Error::kAnswerTooLarge, absl::StatusCode::kResourceExhausted,
               absl::StrCat("datum: the answer is larger than max (", bytes_max,
                            " bytes); ask for less at once, with a limit"));
}

absl::Status AppliedAnswerTooLarge(uint64_t bytes_max) {
  return Named(Error::kAnswerTooLarge, absl::StatusCode::kResourceExhausted,
               absl::StrCat("datum: the request was applied, but its answer is larger than max (",
                            bytes_max, " bytes) and is not sent"));
}

std::optional<Error> ErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return std::nullopt;
  return static_cast<Error>(std::string(*payload)[0]);
}

}  // namespace store
