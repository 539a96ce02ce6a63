// SPDX-License-Identifier: Apache-2.0
//
// auth_record.h: how users and roles lie in the family `auth`.
//
//   "authEnabled"     one byte, 0 or 1      "user/" name   authpb.User
//   "authRevision"    8 bytes, big endian   "role/" name   authpb.Role
//
// Written by a restore from a snapshot; the API does not serve them yet.

#pragma once

#include <string_view>

namespace store {

inline constexpr std::string_view kAuthEnabledName = "authEnabled";
inline constexpr std::string_view kAuthRevisionName = "authRevision";
inline constexpr std::string_view kAuthUserPrefix = "user/";
inline constexpr std::string_view kAuthRolePrefix = "role/";

}  // namespace store
