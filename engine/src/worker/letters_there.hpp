// SPDX-License-Identifier: Apache-2.0
// What stands in a file of dead letters, read without holding all of it.
//
// Used by LetterFile when a worker goes on in its file, by those that retry letters, and by the `sluice dead` command.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include <sluice/dead_letter.hpp>

namespace sluice::detail {

struct LettersThere {
  std::uint64_t whole_bytes = 0;  // Of the whole letters, from the beginning of the file.
  bool sound = true;              // What is behind them is nothing, or the beginning of a letter.
  std::int64_t last_order_ns = 0;
  std::vector<DeadLetter> wanted{};
};

// `file` is open for reading; `wanted` is asked for each whole letter. Reads the heads of all, and only those whole that are
// wanted. Throws Error if it cannot be read.
LettersThere letters_there(int file, const std::function<bool(const EventId&)>& wanted);

struct PlacedLetter {
  std::uint64_t offset;
  std::int64_t order_ns;
  bool retried;
};

// Of the whole letters of a file, in the order in which they were written. Reads their heads alone. Throws Error as
// read_dead_letters() does.
std::vector<PlacedLetter> placed_letters(const std::filesystem::path& file);
// The letter that begins there. Throws Error as read_dead_letters() does, and if none does.
DeadLetter letter_at(const std::filesystem::path& file, std::uint64_t offset);

// What find_dead_letters() finds, in its order, one after the other.
void each_dead_letter(const std::filesystem::path& file_or_directory,
                      const std::function<void(DeadLetter)>& visit);

}  // namespace sluice::detail
