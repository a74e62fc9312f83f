// SPDX-License-Identifier: Apache-2.0
// Texts that came from outside, made fit to be shown: on a terminal, in a line of JSON, in a field of a table.
//
// File names, messages of exceptions and payloads may hold anything: control characters that drive a terminal,
// line ends that break a table, bytes that are no text. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// The text in one line: printable UTF-8 stays; control characters, those that change the direction or the lines
// of a text, the backslash and bytes that are no UTF-8 become "\n", "\t", "\r", "\\", "\x1b" or "\u202e".
std::string printable(std::string_view text);

// The same for a whole message, as what() of an Error is, whose names are printable already: a backslash stays, so that nothing
// is escaped twice.
std::string printable_message(std::string_view message);

// The text as JSON writes it, in quotes. A byte that is no UTF-8 becomes the four characters \x and two digits.
std::string json_text(std::string_view text);

// The beginning of the text, at most so many bytes, that cuts no character in two.
std::string_view cut_text(std::string_view text, std::size_t most_bytes);

}  // namespace sluice
