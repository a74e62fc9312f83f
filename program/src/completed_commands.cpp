// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/completed_commands.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>

namespace sluice::detail {
namespace {

void add_word(std::string& words, const std::string& word) {
  words.append(words.empty() ? "" : " ").append(word);
}

// As its help calls the value. A name that has no type says itself what it is.
bool takes_file(const CLI::Option& option) {
  constexpr std::array kFiles{"FILE", "PATH", "DIR", "LINES", "SOCKET", "MACHINE", "PROGRAM"};
  const std::string type = option.get_type_name();
  const std::string said = type.empty() && option.get_positional() ? option.get_name(true) : type;
  return std::any_of(kFiles.begin(), kFiles.end(),
                     [&said](const char* each) { return said.find(each) != std::string::npos; });
}

void add(const CLI::App& command, const std::string& path, std::vector<CompletedCommand>& found) {
  CompletedCommand& own = found.emplace_back();
  own.path = path;
  for (const CLI::App* each : command.get_subcommands({})) {
    if (!each->get_group().empty()) add_word(own.words, each->get_name());
  }
  for (const CLI::Option* option : command.get_options()) {
    const bool file = takes_file(*option);
    own.files = own.files || (file && option->get_positional());
    if (option->get_group().empty()) continue;
    const bool value = option->get_items_expected_min() > 0;
    for (const std::string& name : option->get_lnames()) {
      add_word(own.words, "--" + name);
      if (value) add_word(file ? own.file_options : own.value_options, "--" + name);
    }
  }
  for (const CLI::App* each : command.get_subcommands({})) {
    if (each->get_group().empty()) continue;
    std::string inner = path;
    add(*each, inner.append(path.empty() ? "" : " ").append(each->get_name()), found);
  }
}

}  // namespace

std::vector<CompletedCommand> completed_commands(const CLI::App& program) {
  std::vector<CompletedCommand> found;
  add(program, "", found);
  return found;
}

std::string to_text(const std::vector<CompletedCommand>& commands) {
  std::string text;
  for (const CompletedCommand& each : commands)
    text.append(fmt::format("{}\t{}\t{}\t{}\t{}\n", each.path, each.files ? "files" : "none", each.words,
                            each.file_options, each.value_options));
  return text;
}

std::vector<CompletedCommand> commands_of_text(std::string_view text, const std::string& name) {
  constexpr std::size_t kFields = 5;
  std::vector<CompletedCommand> found;
  std::istringstream lines{std::string{text}};
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields{""};
    for (const char c : line) {
      if (c == '\t') {
        fields.emplace_back();
      } else {
        fields.back().push_back(c);
      }
    }
    if (fields.size() != kFields) continue;
    found.push_back({fields[0].empty() ? name : fmt::format("{} {}", name, fields[0]), fields[1] == "files",
                     fields[2], fields[3], fields[4]});
  }
  return found;
}

}  // namespace sluice::detail
