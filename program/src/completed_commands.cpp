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
  constexpr std::array kFiles{"FILE", "PATH", "LINES", "SOCKET", "MACHINE", "PROGRAM"};
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
    own.files = own.files || takes_file(*option);
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames())
      add_word(own.words, "--" + name);
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
    text.append(each.path).append(each.files ? "\tfiles\t" : "\tnone\t").append(each.words).append("\n");
  return text;
}

std::vector<CompletedCommand> commands_of_text(std::string_view text, const std::string& name) {
  std::vector<CompletedCommand> found;
  std::istringstream lines{std::string{text}};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find('\t');
    const std::size_t second = first == std::string::npos ? first : line.find('\t', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(0, first);
    found.push_back({path.empty() ? name : fmt::format("{} {}", name, path),
                     line.substr(first + 1, second - first - 1) == "files", line.substr(second + 1)});
  }
  return found;
}

}  // namespace sluice::detail
