// SPDX-License-Identifier: Apache-2.0
// What the tests of the line reader share: a whole reading of a file, and text to put into files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/connect/line_reader.hpp>

#include "support/files.hpp"

namespace sluice::test {

// Small enough to make points in small files.
inline constexpr LineReaderOptions kSmall{.max_line_bytes = 4096, .access_point_every_bytes = 16384};

struct Reading {
  std::vector<std::string> lines;
  FileLine last;
};

inline Reading read_all(LineReader& file) {
  Reading reading;
  for (;;) {
    reading.last = file.next();
    if (reading.last.status == LineStatus::line) {
      reading.lines.emplace_back(reading.last.text);
    } else if (reading.last.status == LineStatus::too_long) {
      reading.lines.push_back("too long: " + std::to_string(reading.last.length_bytes));
    } else {
      return reading;
    }
  }
}

inline std::vector<std::string> lines_of(const std::string& path, const LineReaderOptions& options = kSmall) {
  LineReader file{path, options};
  Reading reading = read_all(file);
  EXPECT_EQ(reading.last.status, LineStatus::end) << file.failure();
  return reading.lines;
}

// Text that compresses about as captures do, so that an archive has many blocks.
inline std::string some_text(std::size_t lines) {
  std::mt19937 random{7};
  std::string text;
  for (std::size_t line = 0; line < lines; ++line) {
    text += std::to_string(line) + R"( {"stream":"btcusdt@trade","data":{"p":")" +
            std::to_string(random() % 99999) + R"(","q":")" + std::to_string(random()) + "\"}}\n";
  }
  return text;
}

inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// A gzip archive whose text is not what its checksum says.
inline std::string with_wrong_checksum(std::string archive) {
  archive[archive.size() - 5] = static_cast<char>(archive[archive.size() - 5] ^ 1);
  return archive;
}

// With its length in front, as Framing::length_prefixed has it.
inline std::string prefixed(std::string_view record) {
  std::string text;
  for (unsigned shift = 32; shift != 0; shift -= 8)
    text += static_cast<char>(record.size() >> (shift - 8) & 0xffU);
  return text.append(record);
}

inline std::string all_prefixed(const std::vector<std::string>& records) {
  std::string text;
  for (const std::string& record : records)
    text += prefixed(record);
  return text;
}

inline constexpr LineReaderOptions kSmallPrefixed{
    .max_line_bytes = 4096, .access_point_every_bytes = 16384, .framing = Framing::length_prefixed};

}  // namespace sluice::test
