// SPDX-License-Identifier: Apache-2.0
#include "sluice/printable.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace sluice {
namespace {

struct Character {
  std::size_t bytes = 0;  // 0: the text does not begin with a character of UTF-8.
  std::uint32_t code = 0;
};

// Source: RFC 3629, section 4: no overlong forms, no surrogates, nothing beyond U+10FFFF.
Character first_character(std::string_view text) {
  const auto byte = [&text](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes] || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return {};
  return {bytes, code};
}

// Controls, line ends, and what turns the direction of a text or is seen by nobody.
bool drives_a_terminal(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c || code == 0xfeff ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f);
}

std::string escaped(const char* format, std::uint32_t code) {
  char text[16];
  const int bytes = std::snprintf(text, sizeof(text), format, code);
  return {text, static_cast<std::size_t>(bytes)};
}

std::string escaped_character(std::uint32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default:
      return escaped(code < 0x80 ? "\\x%02x" : "\\u%04x", code);
  }
}

std::string shown_on_a_terminal(std::string_view text, bool escapes_backslash) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::size_t bytes = std::max<std::size_t>(character.bytes, 1);
    if (character.bytes == 0) {
      shown += escaped("\\x%02x", static_cast<unsigned char>(text.front()));
    } else if (character.code == '\\' && escapes_backslash) {
      shown += "\\\\";
    } else if (drives_a_terminal(character.code)) {
      shown += escaped_character(character.code);
    } else {
      shown += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return shown;
}

}  // namespace

std::string printable(std::string_view text) {
  return shown_on_a_terminal(text, true);
}

std::string printable_message(std::string_view message) {
  return shown_on_a_terminal(message, false);
}

std::string json_text(std::string_view text) {
  std::string json = "\"";
  json.reserve(text.size() + 2);
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::size_t bytes = std::max<std::size_t>(character.bytes, 1);
    if (character.bytes == 0) {
      json += escaped("\\\\x%02x", static_cast<unsigned char>(text.front()));
    } else if (character.code == '"' || character.code == '\\') {
      json += '\\';
      json += text.front();
    } else if (drives_a_terminal(character.code)) {
      json += escaped("\\u%04x", character.code);
    } else {
      json += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  json += '"';
  return json;
}

std::string_view cut_text(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  constexpr std::size_t kLongest = 4;
  for (std::size_t back = 1; back < kLongest && back <= most_bytes; ++back) {
    const Character last = first_character(text.substr(most_bytes - back));
    if (last.bytes == 0) continue;  // Within a character, or no text at all.
    return text.substr(0, last.bytes > back ? most_bytes - back : most_bytes);
  }
  return text.substr(0, most_bytes);
}

}  // namespace sluice
