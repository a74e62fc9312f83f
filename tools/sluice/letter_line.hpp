// SPDX-License-Identifier: Apache-2.0
// A dead letter as a line of JSON, and back: what `sluice dead export` writes and `sluice dead import` reads. Pure.
// docs/reference/dead-letters.md has the members.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/dead_letter.hpp>

namespace sluice::command {

inline constexpr int kLetterSchema = 1;
// Of a payload. What is larger is in no line: a program that reads lines would hold it whole, several times.
inline constexpr std::size_t kMostPayloadBytes = std::size_t{64} << 20;
// Of a line that holds such a payload, and the rest of a letter.
inline constexpr std::size_t kMostLineBytes = kMostPayloadBytes / 3 * 4 + (std::size_t{1} << 20);

// Without the end of the line. Throws Error for a payload that is too large.
std::string line_of(const DeadLetter& letter);

// Throws JsonFault with what is wrong with it.
DeadLetter letter_of(std::string_view line);

}  // namespace sluice::command
