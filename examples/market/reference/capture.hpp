// SPDX-License-Identifier: Apache-2.0
// A capture file as a run of lines: raw recorder files and merged files, read in order, with line numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.hpp"

namespace reference {

// A line that is rejected; what() is the reason.
class BadLine : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct CaptureLine {
  std::int64_t receive_ns = 0;
  std::string_view venue;
  std::string_view symbol;
  std::string_view json;
};

// What a file's name says. A name VENUE_SYMBOL_DAY, with a day of digits and any extension, is a raw recorder
// file, unless its first receive time is followed by a tab; every other name, and standard input, is a merged
// file, whose lines name venue and symbol themselves.
struct CaptureName {
  bool raw = false;
  std::string venue;
  std::string symbol;  // Upper case.
};
CaptureName capture_name(std::string_view path);

// Splits a line; the views point into the line and the name. Throws BadLine.
CaptureLine split_line(const CaptureName& name, std::string_view line);

class Capture {
 public:
  // Opens the file and reads ahead to the first line with a receive time. Throws std::runtime_error.
  explicit Capture(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  const CaptureName& name() const noexcept { return name_; }
  std::int64_t first_receive_ns() const noexcept { return first_receive_ns_; }

  // The next line without its end, false at the end of the file. A line that an archive's truncation cut is
  // not handed out. Throws std::runtime_error when the file turns out unreadable.
  bool next(std::string& line);
  std::int64_t line_number() const noexcept { return line_number_; }  // Of the last line handed out, from 1.

 private:
  bool read_line(std::string& line);
  void read_ahead();

  std::string path_;
  CaptureName name_;
  std::unique_ptr<Bytes> bytes_;
  std::vector<char> chunk_;
  std::string_view unread_;
  std::deque<std::string> ahead_;
  std::exception_ptr
      ahead_error_;  // A failure met while reading ahead, thrown when the lines before it are used up.
  std::int64_t first_receive_ns_ = INT64_MAX;
  std::int64_t line_number_ = 0;
};

}  // namespace reference
