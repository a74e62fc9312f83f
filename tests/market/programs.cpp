// SPDX-License-Identifier: Apache-2.0
#include "programs.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#include "support/recorded_data.hpp"

namespace programs {
namespace {

Finished run_command(const std::string& words) {
  const TemporaryDirectory scratch;
  const std::filesystem::path errors = scratch / "stderr";
  const std::filesystem::path output = scratch / "stdout";
  // Braces, so that arguments may begin a pipe or end with a redirection of their own.
  const std::string command = "{ " + words + "; } >" + shell_word(output) + " 2>" + shell_word(errors);
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(output), content(errors)};
}

Finished run(const std::string& program, const std::string& arguments) {
  return run_command(shell_word(program) + " " + arguments);
}

}  // namespace

const std::vector<std::string> kAnswerFiles{"event_counts.tsv", "trades.tsv", "bars_1s.tsv", "book.tsv",
                                            "last_ticker.tsv"};

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "market-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"cannot make a directory like " + pattern};
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Finished run_market(const std::string& arguments) {
  // What the log says on a busy machine is nothing that these tests ask for.
  return run_command("SLUICE_LOG_LEVEL=off " + shell_word(MARKET_PROGRAM) + " " + arguments);
}
Finished run_script(const std::string& script) {
  return run_command(script);
}
Finished run_reference(const std::string& arguments) {
  return run(MARKET_REFERENCE, arguments);
}
Finished run_simulator(const std::string& arguments) {
  return run(MARKET_SIMULATOR, arguments);
}

std::string market_program() {
  return shell_word(MARKET_PROGRAM);
}

std::string shell_word(const std::filesystem::path& path) {
  return std::string(1, '\'').append(path.string()).append("'");
}

std::string files_in(const std::filesystem::path& directory, bool reversed) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{directory}) {
    names.push_back(shell_word(entry.path()));
  }
  std::sort(names.begin(), names.end());
  if (reversed) std::reverse(names.begin(), names.end());
  std::string joined;
  for (const std::string& name : names)
    joined.append(name).append(" ");
  return joined;
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) throw std::runtime_error{"cannot open " + path.string()};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<Row> rows(const std::filesystem::path& path) {
  std::istringstream text{content(path)};
  std::vector<Row> result;
  std::string line;
  std::getline(text, line);
  while (std::getline(text, line)) {
    std::istringstream cells{line};
    Row& row = result.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');)
      row.push_back(cell);
  }
  return result;
}

std::optional<std::filesystem::path> real_data() {
  const char* configured = sluice::test::recorded_data();
  const std::filesystem::path path = configured != nullptr ? configured : DATA_BESIDE_THE_PROJECT;
  if (!std::filesystem::exists(path / "binance")) return std::nullopt;
  return path;
}

}  // namespace programs
