// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_text.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace client {
namespace {

constexpr std::string_view kEscapeLetters = "abfnrtv\\\"'";
constexpr std::string_view kEscapeBytes = "\a\b\f\n\r\t\v\\\"'";

// The length of the well-formed UTF-8 sequence at the front; 0 if there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

// The code point of a well-formed sequence.
uint32_t CodePoint(std::string_view sequence) {
  if (sequence.size() == 1) return static_cast<uint8_t>(sequence[0]);
  uint32_t point = static_cast<uint8_t>(sequence[0]) & (0x7fu >> sequence.size());
  for (const char byte : sequence.substr(1)) {
    point = (point << 6) | (static_cast<uint8_t>(byte) & 0x3f);
  }
  return point;
}

// What Go escapes beyond ASCII: controls, blanks other than ' ', marks without a shape, private
// use. Not the whole of Unicode's tables: a code point that is not assigned is taken as printable.
bool IsPrintableBeyondAscii(uint32_t point) {
  struct Span {
    uint32_t first, last;
  };
  static constexpr Span kHidden[] = {{0x80, 0xa0},     {0xad, 0xad},       {0x1680, 0x1680},
                                     {0x2000, 0x200f}, {0x2028, 0x202f},   {0x205f, 0x206f},
                                     {0x3000, 0x3000}, {0xe000, 0xf8ff},   {0xfeff, 0xfeff},
                                     {0xfff0, 0xfffb}, {0xf0000, 0x10ffff}};
  for (const Span& span : kHidden) {
    if (point >= span.first && point <= span.last) return false;
  }
  return true;
}

void AppendUtf8(uint32_t point, std::string* out) {
  if (point < 0x80) {
    out->push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (point >> 6)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else if (point < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (point >> 12)));
    out->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (point >> 18)));
    out->push_back(static_cast<char>(0x80 | ((point >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3f)));
  }
}

// `count` digits of `base` from the front of *text.
std::optional<uint32_t> TakeNumber(size_t count, uint32_t base, std::string_view* text) {
  if (text->size() < count) return std::nullopt;
  uint32_t number = 0;
  for (size_t i = 0; i < count; ++i) {
    const char digit = absl::ascii_tolower(static_cast<unsigned char>((*text)[i]));
    const uint32_t value =
        digit >= 'a' ? static_cast<uint32_t>(digit - 'a') + 10 : static_cast<uint32_t>(digit - '0');
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit)) || value >= base) {
      return std::nullopt;
    }
    number = number * base + value;
  }
  text->remove_prefix(count);
  return number;
}

// What follows a backslash.
bool TakeEscape(std::string_view* text, std::string* out) {
  if (text->empty()) return false;
  const char letter = text->front();
  const size_t simple = kEscapeLetters.find(letter);
  if (simple != std::string_view::npos && letter != '\'') {
    out->push_back(kEscapeBytes[simple]);
    text->remove_prefix(1);
    return true;
  }
  std::optional<uint32_t> number;
  if (letter == 'x' || letter == 'u' || letter == 'U') {
    text->remove_prefix(1);
    number = TakeNumber(letter == 'x' ? 2 : letter == 'u' ? 4 : 8, 16, text);
  } else {
    number = TakeNumber(3, 8, text);
    if (number && *number > 255) return false;
  }
  if (!number) return false;
  if (letter == 'u' || letter == 'U') {
    if (*number > 0x10ffff || (*number >= 0xd800 && *number < 0xe000)) return false;
    AppendUtf8(*number, out);
  } else {
    out->push_back(static_cast<char>(*number));
  }
  return true;
}

}  // namespace

std::string GoQuoted(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const size_t escape = kEscapeBytes.find(text.front());
    if (escape != std::string_view::npos && text.front() != '\'') {
      quoted += {'\\', kEscapeLetters[escape]};
    } else if (length == 0 ||
               (length == 1 && !absl::ascii_isprint(static_cast<unsigned char>(text.front())))) {
      absl::StrAppendFormat(&quoted, "\\x%02x", static_cast<uint8_t>(text.front()));
    } else if (const uint32_t point = CodePoint(text.substr(0, length));
               length > 1 && !IsPrintableBeyondAscii(point)) {
      if (point < 0x10000) {
        absl::StrAppendFormat(&quoted, "\\u%04x", point);
      } else {
        absl::StrAppendFormat(&quoted, "\\U%08x", point);
      }
    } else {
      quoted += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return quoted + "\"";
}

std::optional<std::string> TakeGoQuoted(std::string_view* text) {
  std::string_view rest = *text;
  if (rest.empty()) return std::nullopt;
  std::string out;
  if (rest.front() == '`') {
    const size_t end = rest.find('`', 1);
    if (end == std::string_view::npos) return std::nullopt;
    out = rest.substr(1, end - 1);
    text->remove_prefix(end + 1);
    return out;
  }
  if (rest.front() != '"') return std::nullopt;
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != '"') {
    const char byte = rest.front();
    rest.remove_prefix(1);
    if (byte == '\n') return std::nullopt;
    if (byte != '\\') {
      out.push_back(byte);
    } else if (!TakeEscape(&rest, &out)) {
      return std::nullopt;
    }
  }
  if (rest.empty()) return std::nullopt;
  rest.remove_prefix(1);
  *text = rest;
  return out;
}

std::string GoJsonString(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char byte = text.front();
    if (length == 0) {
      json += "\\ufffd";
    } else if (byte == '"' || byte == '\\') {
      json += {'\\', byte};
    } else if (length == 1 && std::string_view("\b\f\n\r\t").find(byte) != std::string_view::npos) {
      json += {'\\', kEscapeLetters[kEscapeBytes.find(byte)]};
    } else if (static_cast<uint8_t>(byte) < 0x20 || byte == '<' || byte == '>' || byte == '&') {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<uint8_t>(byte));
    } else if (text.substr(0, length) == "\u2028" || text.substr(0, length) == "\u2029") {
      json += text[2] == '\xa8' ? "\\u2028" : "\\u2029";
    } else {
      json += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return json + "\"";
}

std::string HexEscaped(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) absl::StrAppendFormat(&hex, "\\x%02x", static_cast<uint8_t>(byte));
  return hex;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 10) return absl::StrCat(bytes, " B");
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  const double exponent = std::floor(std::log(static_cast<double>(bytes)) / std::log(1000.0));
  const double number =
      std::floor(static_cast<double>(bytes) / std::pow(1000.0, exponent) * 10 + 0.5) / 10;
  const char* unit = kUnits[static_cast<size_t>(exponent)];
  return number < 10 ? absl::StrFormat("%.1f %s", number, unit)
                     : absl::StrFormat("%.0f %s", number, unit);
}

std::string GoDuration(absl::Duration duration) {
  return absl::StrReplaceAll(absl::FormatDuration(duration), {{"us", "µs"}});
}

std::optional<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const char first = line.front();
    if (absl::ascii_isspace(static_cast<unsigned char>(first))) {
      line.remove_prefix(1);
    } else if (first == '"') {
      std::optional<std::string> word = TakeGoQuoted(&line);
      if (!word) return std::nullopt;
      words.push_back(*std::move(word));
    } else if (first == '\'') {
      const size_t end = line.find('\'', 1);
      if (end == std::string_view::npos) return std::nullopt;
      words.emplace_back(line.substr(1, end - 1));
      line.remove_prefix(end + 1);
    } else {
      const size_t end = line.find_first_of(" \t\r\n\v\f");
      words.emplace_back(line.substr(0, end));
      line.remove_prefix(end == std::string_view::npos ? line.size() : end);
    }
  }
  return words;
}

}  // namespace client
