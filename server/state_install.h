// SPDX-License-Identifier: Apache-2.0
//
// state_install.h: a state that came from another member takes the place of this one's.
//
// It is moved beside the old one and opened; then meta/ names it, synced: that is the one step
// which a crash finds done or not done. What is not named is removed, here or at the next start.
//
// Threads: the apply thread.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/data_dir.h"
#include "store/engine.h"
#include "store/promises.h"

namespace server {

class StateInstall {
 public:
  using TakeStaged = std::function<absl::StatusOr<std::string>(uint64_t staged)>;
  using OpenEngine =
      std::function<absl::StatusOr<std::unique_ptr<store::Engine>>(const std::string& directory)>;

  // All outlive it.
  StateInstall(const DataDir* directory, store::Promises* promises, TakeStaged take,
               OpenEngine open)
      : directory_(directory),
        promises_(promises),
        take_(std::move(take)),
        open_(std::move(open)) {}

  // The engine of the state that was staged under that name, now this member's.
  // Errors: what makes it unusable; the old state stays then.
  absl::StatusOr<std::unique_ptr<store::Engine>> Install(uint64_t staged);

 private:
  const DataDir* const directory_;
  store::Promises* const promises_;
  const TakeStaged take_;
  const OpenEngine open_;
};

// Removes the states of `directory` that meta/ does not name: what a crash or a swap left behind.
void RemoveOtherStates(const DataDir& directory, uint64_t state_number);

}  // namespace server
