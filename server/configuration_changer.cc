// SPDX-License-Identifier: Apache-2.0

#include "server/configuration_changer.h"

#include <utility>

#include "server/errors.h"

namespace server {

void ConfigurationChanger::Change(base::TimePoint deadline, Plan plan, Done done) const {
  Read(std::make_shared<const Work>(Work{deadline, std::move(plan), std::move(done)}));
}

// A linearizable read: the plan sees every change that was answered before, and a try after a
// refused one waits for a round of the leader's instead of turning in place.
void ConfigurationChanger::Read(std::shared_ptr<const Work> work) const {
  replica_->ReadIndex(work->deadline, [this, work](raft::ReadOutcome outcome) {
    if (outcome == raft::ReadOutcome::kReady) return Propose(work);
    if (outcome == raft::ReadOutcome::kLeaderChanged && clock_->Now() < work->deadline) {
      return Read(work);
    }
    work->done(FromRead(outcome), "");
  });
}

void ConfigurationChanger::Propose(std::shared_ptr<const Work> work) const {
  auto planned = work->plan(state_->membership());
  if (!planned.ok()) return work->done(planned.status(), "");
  replica_->ChangeConfiguration(
      std::move(planned->command), planned->based_on, work->deadline,
      [this, work](raft::PublishOutcome outcome) {
        using Kind = raft::PublishOutcome::Kind;
        if (outcome.kind == Kind::kApplied) {
          return work->done(FromStore(outcome.result.status), std::move(outcome.result.response));
        }
        // Surely in no log: planned anew.
        const bool again =
            outcome.kind == Kind::kConfigurationChanged || outcome.kind == Kind::kDropped;
        if (again && clock_->Now() < work->deadline) return Read(work);
        work->done(FromPublish(outcome.kind, false), "");
      });
}

}  // namespace server
