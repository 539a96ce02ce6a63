// SPDX-License-Identifier: Apache-2.0

#include "store/engine.h"

namespace store {

const char* FamilyName(Family family) {
  switch (family) {
    case Family::kDatum:
      return "datum";
    case Family::kDeleted:
      return "deleted";
    case Family::kRevision:
      return "revision";
    case Family::kKept:
      return "kept";
    case Family::kPresence:
      return "presence";
    case Family::kLease:
      return "lease";
    case Family::kLeaseKey:
      return "lease_key";
    case Family::kAuth:
      return "auth";
    case Family::kApplied:
      return "applied";
  }
  return "?";
}

}  // namespace store
