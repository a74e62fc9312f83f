// SPDX-License-Identifier: Apache-2.0
// What stands in a file of dead letters when a worker goes on in it.
//
// Used by LetterFile. Reads the heads of all letters, and only those letters whole that are wanted.
#pragma once

#include <cstdint>
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

// `file` is open for reading; `wanted` is asked for each whole letter. Throws Error if it cannot be read.
LettersThere letters_there(int file, const std::function<bool(const EventId&)>& wanted);

}  // namespace sluice::detail
