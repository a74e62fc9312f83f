// SPDX-License-Identifier: Apache-2.0
// What holds of the command line of every program and of each of its commands: --help, --version, options that are not
// quite right, numbers that are none.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using testing::HasSubstr;

struct Ran {
  int status = -1;
  std::string said;  // On either way out.
};

Ran run(const std::string& line) {
  FILE* pipe = ::popen(("cd / && timeout 60 " + line + " </dev/null 2>&1").c_str(), "r");
  Ran ran;
  if (pipe == nullptr) return ran;
  std::array<char, 4096> bytes{};
  for (std::size_t got = 0; (got = std::fread(bytes.data(), 1, bytes.size(), pipe)) > 0;)
    ran.said.append(bytes.data(), got);
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

// A program, or one of its commands, with the words that lead there.
struct Command {
  std::string words;
  std::string help;
};

void add_command(const std::string& words, std::vector<Command>& all) {
  const Ran ran = run(words + " --help");
  ASSERT_EQ(ran.status, 0) << words << "\n" << ran.said;
  all.push_back({words, ran.said});
  bool listed = false;
  for (const std::string& line : lines_of(ran.said)) {
    listed = line == "Subcommands:" || (listed && !line.empty());
    std::smatch name;
    if (listed && std::regex_search(line, name, std::regex{"^  ([a-z][a-z-]*)( |$)"}))
      add_command(words + " " + name[1].str(), all);
  }
}

const std::vector<Command>& every_command() {
  static const std::vector<Command> all = [] {
    std::vector<Command> found;
    std::istringstream programs{EVERY_PROGRAM};
    for (std::string program; std::getline(programs, program, ':');)
      add_command(program, found);
    return found;
  }();
  return all;
}

// Options that take a number: by what CLI11 calls them, or we.
std::vector<std::string> numbers_of(const Command& command) {
  std::vector<std::string> options;
  for (const std::string& line : lines_of(command.help)) {
    std::smatch name;
    const std::regex number{"^  (?:-[a-z],)?(--[a-z-]+) (UINT|INT|FLOAT|N|COUNT|NUMBER|MS|SECONDS)(=| |$)"};
    if (std::regex_search(line, name, number)) options.push_back(name[1].str());
  }
  return options;
}

TEST(EveryProgram, HasAHelpOf80ColumnsThatEndsWithThreeExamples) {
  for (const Command& command : every_command()) {
    const std::vector<std::string> lines = lines_of(command.help);
    for (const std::string& line : lines)
      EXPECT_LE(line.size(), 80U) << command.words << "\n" << line;
    const auto examples = std::find(lines.begin(), lines.end(), "Examples:");
    const auto is_example = [](const std::string& line) { return line.starts_with("  ") && line[2] != ' '; };
    EXPECT_EQ(std::count_if(examples, lines.end(), is_example), 3) << command.words << "\n" << command.help;
  }
}

// Not those of its neighbours.
TEST(EveryProgram, HasExamplesOfWhatItsHelpIsAbout) {
  std::map<std::string, std::string> of;  // Of each program and its lists of examples the command.
  for (const Command& command : every_command()) {
    const std::size_t blank = command.words.rfind(' ');
    if (blank == std::string::npos) continue;
    const std::string program = command.words.substr(0, command.words.find(' '));
    const std::string examples = command.help.substr(command.help.find("\nExamples:"));
    EXPECT_THAT(examples, testing::ContainsRegex("[ (]" + command.words.substr(blank + 1) + "[ )\n]"))
        << command.words;
    const auto [other, is_new] = of.emplace(program + examples, command.words);
    EXPECT_TRUE(is_new) << command.words << " and " << other->second << " have" << examples;
  }
}

TEST(EveryProgram, SaysOfItsHelpWhatTheOthersSay) {
  for (const Command& command : every_command())
    EXPECT_THAT(command.help, testing::ContainsRegex("Print this help and exit")) << command.words;
}

// Where options end and another program's words begin is in the line that says how it is used.
TEST(EveryProgram, SaysInItsUsageWhatStandsBehindTheDashes) {
  int with_dashes = 0;
  for (const Command& command : every_command()) {
    const std::vector<std::string> lines = lines_of(command.help);
    const auto examples = std::find(lines.begin(), lines.end(), "Examples:");
    const std::string name = command.words.substr(command.words.rfind('/') + 1);
    const bool is_shown = std::any_of(examples, lines.end(), [&](const std::string& line) {
      return line.find(name + " ") != std::string::npos && line.find(" -- ") > line.find(name + " ") &&
             line.find(" -- ") != std::string::npos;
    });
    // Of `sluice` and `sluice dead` it is a command of theirs.
    if (!is_shown || command.help.find("\nSubcommands:") != std::string::npos) continue;
    ++with_dashes;
    EXPECT_THAT(command.help, testing::ContainsRegex("Usage: " + name + " [^\n]*-- [^\n]*ARGUMENTS"))
        << command.words;
  }
  EXPECT_GE(with_dashes, 4);
}

TEST(EveryProgram, TellsItsVersion) {
  for (const Command& command : every_command()) {
    if (command.words.find(' ') != std::string::npos) continue;
    const Ran ran = run(command.words + " --version");
    EXPECT_EQ(ran.status, 0) << command.words;
    EXPECT_THAT(ran.said, testing::ContainsRegex("[0-9]+\\.[0-9]+\\.[0-9]+")) << command.words;
  }
}

// The reason is known where nothing was written before the end.
TEST(EveryProgram, SaysOnceThatNobodyHasHeardIt) {
  const std::string what = "sluice: cannot write to standard output";
  const auto expect_said = [&what](const std::string& words) {
    const Ran ran = run("sh -c '" + words + " 2>&1 >/dev/full'");
    EXPECT_EQ(ran.status, 1) << words;
    EXPECT_THAT(ran.said, testing::AnyOf(what + "\n", what + ": No space left on device\n")) << words;
  };
  for (const Command& command : every_command()) {
    expect_said(command.words + " --help");
    if (command.words.find(' ') == std::string::npos) expect_said(command.words + " --version");
  }
}

TEST(EveryProgram, NamesTheOptionThatWasMeant) {
  const std::regex option{"^  (?:-[a-z],)?(--[a-z]{3,}[a-z-]*)"};
  for (const Command& command : every_command()) {
    for (const std::string& line : lines_of(command.help)) {
      std::smatch name;
      if (!std::regex_search(line, name, option)) continue;
      std::string typo = name[1].str();
      std::swap(typo[typo.size() - 1], typo[typo.size() - 2]);
      if (typo == name[1].str()) continue;
      const Ran ran = run(command.words + " " + typo);
      EXPECT_EQ(ran.status, 2) << command.words << " " << typo;
      EXPECT_THAT(ran.said, HasSubstr("did you mean " + name[1].str() + "?")) << command.words << " " << typo;
    }
  }
}

TEST(EveryProgram, RefusesANumberThatIsNone) {
  std::size_t options = 0;
  for (const Command& command : every_command()) {
    for (const std::string& option : numbers_of(command)) {
      ++options;
      for (const char* const value : {"nan", "-nan", "inf", "1e400", "-1", "5x", "0x10", "' 5'", "'5 '", "+5",
                                      "99999999999999999999", "five"}) {
        const Ran ran = run(command.words + " " + option + "=" + value);
        EXPECT_EQ(ran.status, 2) << command.words << " " << option << "=" << value << "\n" << ran.said;
        EXPECT_THAT(ran.said, HasSubstr(option + " takes a number ")) << command.words << "=" << value;
      }
      const Ran empty = run(command.words + " " + option + " ''");
      EXPECT_EQ(empty.status, 2) << command.words << " " << option << "\n" << empty.said;
      EXPECT_THAT(empty.said, HasSubstr(option + " takes a number ")) << command.words;
    }
  }
  EXPECT_GE(options, 12U) << "they are not found";
}

#ifdef BANK_LOAD_PROGRAM
TEST(ABankLoad, RefusesAnAddressThatIsNone) {
  for (const char* const address : {"nowhere", "127.0.0.1:no-such-service"}) {
    const Ran ran = run(std::string{BANK_LOAD_PROGRAM} + " --connect " + address);
    EXPECT_EQ(ran.status, 2) << address << "\n" << ran.said;
    EXPECT_THAT(ran.said, testing::StartsWith("bank-load: " + std::string{address} + " is no HOST:PORT"))
        << address;
  }
}
#endif

}  // namespace
}  // namespace sluice::test
