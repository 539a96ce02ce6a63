// SPDX-License-Identifier: Apache-2.0

#include "raft/core/types.h"

namespace raft {

const char* RoleName(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "?";
}

// As term/index, the form of the traces.
std::ostream& operator<<(std::ostream& out, const LogPosition& position) {
  return out << position.term << "/" << position.index;
}

}  // namespace raft
