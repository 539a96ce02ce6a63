// SPDX-License-Identifier: Apache-2.0
//
// datumctl_text.h: how Go, and so etcdctl, writes strings, sizes and times, and reads quoted words.
// Scripts parse etcdctl's output, so ours must not differ from it.
//
// Threads: any; functions of their arguments.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace client {

// As Go's %q: in double quotes, with escapes for what cannot be printed.
std::string GoQuoted(std::string_view text);

// Takes one string in double quotes (or back quotes) from the front of *text, escapes resolved.
// Nothing if there is none; *text is then unchanged.
std::optional<std::string> TakeGoQuoted(std::string_view* text);

// As Go's encoding/json writes a string.
std::string GoJsonString(std::string_view text);

// Each byte as \xNN.
std::string HexEscaped(std::string_view bytes);

// 20 kB, 2.1 GB: thousands, not 1024s.
std::string HumanBytes(uint64_t bytes);

// 3.188663ms, 1m2.5s.
std::string GoDuration(absl::Duration duration);

// A request line of a txn as words: blanks separate, single and double quotes hold together.
// Nothing if a double-quoted word is malformed.
std::optional<std::vector<std::string>> SplitWords(std::string_view line);

}  // namespace client
