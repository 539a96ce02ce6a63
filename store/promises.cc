// SPDX-License-Identifier: Apache-2.0

#include "store/promises.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/canary.h"
#include "base/status.h"
#include "glog/logging.h"

namespace store {
namespace {

constexpr char kHardState[] = "hard_state";
constexpr char kIdentity[] = "identity";
constexpr char kBootCount[] = "boot_count";
constexpr char kCurrentState[] = "current_state";
constexpr char kConfiguration[] = "configuration";

}  // namespace

absl::Status Promises::LoadRecord(const char* name, google::protobuf::MessageLite* record,
                                  bool* found) {
  ASSIGN_OR_RETURN(const std::optional<std::string> bytes, meta_->Get(name));
  *found = bytes.has_value();
  if (bytes && !record->ParseFromString(*bytes)) {
    return absl::DataLossError(absl::StrCat("meta: the record ", name, " cannot be understood"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Promises>> Promises::Load(std::unique_ptr<MetaStore> meta) {
  auto promises = std::unique_ptr<Promises>(new Promises(std::move(meta)));
  bool found = false;
  datum::disk::HardState hard_state;
  RETURN_IF_ERROR(promises->LoadRecord(kHardState, &hard_state, &found));
  promises->hard_state_.current_term = raft::Term(hard_state.current_term());
  if (hard_state.has_voted_for()) {
    promises->hard_state_.voted_for = raft::NodeId(hard_state.voted_for());
  }
  promises->hard_state_.doubtful = hard_state.doubtful();
  datum::disk::Identity identity;
  RETURN_IF_ERROR(promises->LoadRecord(kIdentity, &identity, &found));
  if (found) promises->identity_ = identity;
  RETURN_IF_ERROR(promises->LoadRecord(kConfiguration, &promises->configuration_, &found));
  datum::disk::BootCount boots;
  RETURN_IF_ERROR(promises->LoadRecord(kBootCount, &boots, &found));
  promises->boots_ = boots.boots();
  datum::disk::CurrentState state;
  RETURN_IF_ERROR(promises->LoadRecord(kCurrentState, &state, &found));
  if (found) promises->state_number_ = state.state_number();
  return promises;
}

void Promises::SaveHardState(const raft::HardState& hard_state) {
  CHECK_GE(hard_state.current_term, hard_state_.current_term) << "a term would go back";
  if (hard_state.current_term == hard_state_.current_term && hard_state_.voted_for) {
    CHECK(hard_state.voted_for == hard_state_.voted_for) << "a vote would be taken back";
  }
  datum::disk::HardState record;
  record.set_current_term(hard_state.current_term.value());
  if (hard_state.voted_for) record.set_voted_for(hard_state.voted_for->value());
  record.set_doubtful(hard_state.doubtful);
  meta_->PutDurably(kHardState, record.SerializeAsString());
  hard_state_ = hard_state;
}

void Promises::RaiseTerm(raft::Term term) {
  if (term > hard_state_.current_term) SaveHardState({term, std::nullopt, hard_state_.doubtful});
}

void Promises::SaveIdentity(const datum::disk::Identity& identity) {
  meta_->PutDurably(kIdentity, identity.SerializeAsString());
  identity_ = identity;
}

void Promises::SaveConfiguration(const datum::disk::NewestConfiguration& configuration) {
  meta_->PutDurably(kConfiguration, configuration.SerializeAsString());
  configuration_ = configuration;
}

uint64_t Promises::CountBoot(uint64_t first) {
  if (base::Planted("boots-not-counted") && boots_ > 0) return boots_;
  const uint64_t next = boots_ == 0 ? first : boots_ + 1;
  datum::disk::BootCount record;
  record.set_boots(next);
  meta_->PutDurably(kBootCount, record.SerializeAsString());
  boots_ = next;
  return boots_;
}

void Promises::SaveStateNumber(uint64_t number) {
  datum::disk::CurrentState record;
  record.set_state_number(number);
  meta_->PutDurably(kCurrentState, record.SerializeAsString());
  state_number_ = number;
}

}  // namespace store
