// SPDX-License-Identifier: Apache-2.0
//
// canary.h: bugs planted on purpose, to see that the simulator finds them.
//
// In the product Planted() is the constant false. The simulator's canary build is compiled with
// DATUM_CANARIES and switches one on by name.

#pragma once

#include <string>
#include <string_view>

namespace base {

#ifdef DATUM_CANARIES
inline std::string& PlantedCanary() {
  static std::string* name = new std::string;
  return *name;
}
inline bool Planted(std::string_view name) { return PlantedCanary() == name; }
#else
constexpr bool Planted(std::string_view) { return false; }
#endif

}  // namespace base
