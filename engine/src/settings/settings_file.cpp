// SPDX-License-Identifier: Apache-2.0
// The reader of profile files.

#include "settings/settings_file.hpp"

#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>

#include "settings/settings_value.hpp"

namespace sluice::detail {
namespace {

// A '#' inside a word belongs to the word: it may be part of a path.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1)) {
    if (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') return line.substr(0, at);
  }
  return line;
}

// The whole file. Bounded: a path may lead to a device that never ends, or to a pipe that nobody writes into.
std::string text_of(const std::string& path) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  TextRead read = read_text_file(path, kMostBytes);
  if (read.why.empty()) return std::move(read.text);
  throw Error{{.tried = "read the profile file",
               .object = fmt::format("\"{}\"", path),
               .why = std::move(read.why),
               .remedy =
                   "profile.file, which is SLUICE_PROFILE_FILE, names a file of lines key = value; leave it "
                   "empty for none"}};
}

}  // namespace

std::vector<ProfileLine> profile_lines(const std::string& path) {
  std::istringstream file{text_of(path)};
  std::vector<ProfileLine> lines;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    const std::string_view text = trimmed(without_comment(line));
    if (text.empty()) continue;
    const std::size_t equals = text.find('=');
    const std::string_view key = trimmed(text.substr(0, equals));
    // A zero byte would end every message that quotes it.
    const std::size_t zero = text.find('\0');
    if (equals == std::string_view::npos || key.empty() || zero != std::string_view::npos) {
      throw Error{{.tried = "read the profile file",
                   .object = fmt::format("{}:{}", path, number),
                   .why = fmt::format("\"{}\" {}", text.substr(0, zero),
                                      zero != std::string_view::npos ? "is followed by a zero byte"
                                                                     : "is not of the form key = value"),
                   .remedy = "for example lane.slots = 64K"}};
    }
    lines.push_back(
        {.number = number, .key = std::string{key}, .value = std::string{trimmed(text.substr(equals + 1))}});
  }
  return lines;
}

}  // namespace sluice::detail
