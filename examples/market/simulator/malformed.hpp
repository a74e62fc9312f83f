// SPDX-License-Identifier: Apache-2.0
// Lines that a recorder should not have written, of every kind that a reader must reject.
#pragma once

#include <cstdint>
#include <string>

#include "feed.hpp"
#include "random.hpp"

namespace simulator {

struct MalformedLine {
  bool whole_line = false;  // The text stands for the whole line, otherwise for the record's JSON.
  std::string text;
};

// Spoils a copy of a good record; the kinds take turns with the number.
MalformedLine spoil(const Record& record, std::int64_t number, Random& random);

}  // namespace simulator
