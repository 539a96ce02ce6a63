// SPDX-License-Identifier: Apache-2.0
//
// configuration_changer.h: makes a change of the membership from any member: reads the newest
// membership, plans, proposes, and plans again if another change came between (compare and set).
//
// Threads: any; `done` comes from an answer thread.
// Errors:  what the plan says; kLearnerNotReady, and what a publish may say (errors.h).

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/time.h"
#include "server/membership.h"
#include "server/parts.h"

namespace server {

class ConfigurationChanger {
 public:
  using Done = std::function<void(absl::Status status, std::string response)>;

  // All must outlive what is under way.
  ConfigurationChanger(Replica* replica, const State* state, const base::Clock* clock)
      : replica_(replica), state_(state), clock_(clock) {}

  // `done` gets the bytes of the entry's answer, once it is applied here. A change whose outcome
  // is not known is not proposed again.
  void Change(base::TimePoint deadline, Plan plan, Done done) const;

 private:
  struct Work {
    base::TimePoint deadline;
    Plan plan;
    Done done;
  };
  void Read(std::shared_ptr<const Work> work) const;
  void Propose(std::shared_ptr<const Work> work) const;

  Replica* const replica_;
  const State* const state_;
  const base::Clock* const clock_;
};

}  // namespace server
