// SPDX-License-Identifier: Apache-2.0
// Runs the market's programs as a user would, and reads the files that they leave.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace programs {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct Finished {
  int status = -1;  // The exit status, -1 when the program was ended by a signal.
  std::string output;
  std::string errors;
};

Finished run_market(const std::string& arguments);
Finished run_script(const std::string& script);  // Commands of a shell.
Finished run_reference(const std::string& arguments);
Finished run_simulator(const std::string& arguments);

// The market program, as a word of a command line.
std::string market_program();

// A path as one word of a command line.
std::string shell_word(const std::filesystem::path& path);

// The names of a directory's files, sorted, quoted for a command line.
std::string files_in(const std::filesystem::path& directory, bool reversed = false);

std::string content(const std::filesystem::path& path);

using Row = std::vector<std::string>;
std::vector<Row> rows(const std::filesystem::path& path);  // Without the header.

// The five files of answers, not rejected.tsv.
extern const std::vector<std::string> kAnswerFiles;

// The directory of real captures: $SLUICE_TEST_DATA, or what stands beside the project; nothing when neither
// exists.
std::optional<std::filesystem::path> real_data();

}  // namespace programs
