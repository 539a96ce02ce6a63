// SPDX-License-Identifier: Apache-2.0

#include "store/promises.h"

#include <algorithm>
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
  promises->hard_state_.forgotten = raft::Session(hard_state.forgotten_boots());
  datum::disk::Identity identity;
  RETURN_IF_ERROR(promises->LoadRecord(kIdentity, &identity, &found));
  if (found) promises->identity_ = identity;
  RETURN_IF_ERROR(promises->LoadRecord(kConfiguration, &promises->configuration_, &found));
  datum::disk::BootCount boots;
  RETURN_IF_ERROR(promises->LoadRecord(kBootCount, &boots, &found));
  promises->boots_ = boots.boots();
  RETURN_IF_ERROR(promises->LoadRecord(kCurrentState, &promises->state_, &found));
  if (!found) promises->state_.set_state_number(1);
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
  record.set_forgotten_boots(hard_state.forgotten.value());
  meta_->PutDurably(kHardState, record.SerializeAsString());
  hard_state_ = hard_state;
}

void Promises::RaiseTerm(raft::Term term) {
  if (term <= hard_state_.current_term) return;
  raft::HardState raised = hard_state_;
  raised.current_term = term;
  raised.voted_for.reset();
  SaveHardState(raised);
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
  const uint64_t next =
      std::max(boots_ == 0 ? first : boots_ + 1, hard_state_.forgotten.value() + 1);
  datum::disk::BootCount record;
  record.set_boots(next);
  meta_->PutDurably(kBootCount, record.SerializeAsString());
  boots_ = next;
  return boots_;
}

void Promises::SaveTakenState(uint64_t number, raft::LogPosition position) {
  std::lock_guard lock(state_mutex_);
  state_.set_state_number(number);
  state_.set_taken_index(position.index.value());
  state_.set_taken_term(position.term.value());
  meta_->PutDurably(kCurrentState, state_.SerializeAsString());
}

bool Promises::TookAt(raft::LogPosition position) const {
  return position.index != raft::Index{} && state_.taken_index() == position.index.value() &&
         state_.taken_term() == position.term.value();
}

bool Promises::LogUnsettledAt(raft::LogPosition position) const {
  std::lock_guard lock(state_mutex_);
  return TookAt(position);
}

void Promises::LogSettled(raft::LogPosition position) {
  std::lock_guard lock(state_mutex_);
  // Another state may have been taken since.
  if (TookAt(position)) ForgetTaken();
}

void Promises::LogSettled() {
  std::lock_guard lock(state_mutex_);
  if (state_.taken_index() != 0) ForgetTaken();
}

void Promises::ForgetTaken() {
  state_.clear_taken_index();
  state_.clear_taken_term();
  meta_->PutDurably(kCurrentState, state_.SerializeAsString());
}

}  // namespace store
