// SPDX-License-Identifier: Apache-2.0
//
// command.h: what a command of the log may be.

#pragma once

namespace store {

// How deep messages may lie in one another in a command. One that goes deeper is refused as
// undecodable when it is applied, so whoever proposes commands must not let it pass.
// Every member must agree on it: it is part of the log's format.
inline constexpr int kCommandNestingMax = 1002;

}  // namespace store
