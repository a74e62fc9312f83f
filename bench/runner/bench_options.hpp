// SPDX-License-Identifier: Apache-2.0
// What `sluice bench` was asked for, checked before anything runs: it may run for twenty minutes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run.hpp"

namespace sluice::bench {

// As it was typed.
struct BenchWords {
  std::vector<std::string> suites;
  bool peers = false;
  bool quick = false;
  bool check = false;
  std::string json;
  std::string html;
  std::string compare;
  std::string from;
  std::string filter;
};

// Throws Error, with the nearest name, for a suite that there is not. None asked for: all, but `peers` only
// with --peers; whoever names it wants it.
std::vector<Suite> suites_asked(const BenchWords& words);

// A file that is known to be writable before there is anything to write. What stood in it is there until
// then.
class OutputFile {
 public:
  // Throws Error if it cannot be opened for writing.
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  // Throws Error, for instance because the disk is full.
  void write(const std::string& text);

 private:
  std::string path_;
  int fd_;
};

// The directory of the program that runs, where the suite programs are.
std::string program_directory();

}  // namespace sluice::bench
