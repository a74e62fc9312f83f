// SPDX-License-Identifier: Apache-2.0
// What CONTRIBUTING asks of every file and a compiler does not look at: how long files and functions are, the
// line that names the licence, what a file says of itself, no work left undone, a reason for each silenced
// warning.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source_text.hpp"

namespace sluice::house {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

constexpr std::size_t kMostLinesOfAFile = 400;
constexpr std::size_t kMostLinesOfAFunction = 60;

struct File {
  std::string name;  // From the root of the tree.
  std::string text;

  bool is(std::string_view ending) const { return name.ends_with(ending); }
  bool is_cpp() const { return is(".cpp") || is(".hpp") || is(".c"); }
};

// Data, and what has no place for a comment. packaging/debian/copyright says it for the lists beside it.
bool has_no_licence_line(const File& file) {
  if (file.name.starts_with("packaging/debian/") && !file.is("rules")) return true;
  return file.is(".md") || file.is(".json") || file.is(".xml") || file.is(".svg") || file.is("LICENSE");
}

bool is_left_out(const fs::path& path) {
  static constexpr std::array kLeftOut{".git", ".cache", "build", "out", "corpus", "sluice-reports"};
  return std::find(kLeftOut.begin(), kLeftOut.end(), path.filename()) != kLeftOut.end();
}

std::vector<File> read_tree() {
  std::vector<File> files;
  for (auto entry = fs::recursive_directory_iterator{SLUICE_SOURCE_DIR}; entry != fs::end(entry); ++entry) {
    if (is_left_out(entry->path())) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_regular_file() || entry->path().filename() == "compile_commands.json") continue;
    if (entry->path().extension() == ".png") continue;
    std::ifstream stream{entry->path(), std::ios::binary};
    files.push_back({fs::relative(entry->path(), SLUICE_SOURCE_DIR).string(),
                     {std::istreambuf_iterator<char>{stream}, {}}});
  }
  return files;
}

const std::vector<File>& tree() {
  static const std::vector<File> files = read_tree();
  return files;
}

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first == std::string_view::npos ? std::string_view{} : line.substr(first);
}

// "file:line: text" for every line of C++ of which `is_wrong` says so; it gets all lines and the number of
// one.
template <class F>
std::vector<std::string> lines_where(F&& is_wrong) {
  std::vector<std::string> found;
  for (const File& file : tree()) {
    if (!file.is_cpp()) continue;
    const std::vector<std::string_view> lines = lines_of(file.text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (is_wrong(lines, i)) found.push_back(fmt::format("{}:{}: {}", file.name, i + 1, trimmed(lines[i])));
    }
  }
  return found;
}

bool is_comment(std::string_view line) {
  return trimmed(line).starts_with("//");
}

bool has_word(std::string_view line, std::string_view word) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(line[at - 1])) && (end == line.size() || !is_word(line[end]))) return true;
  }
  return false;
}

// In two pieces each, so that this file is no exception.
constexpr std::array<std::string_view, 3> kLater{
    "TO"
    "DO",
    "FIX"
    "ME",
    "XX"
    "X"};
constexpr std::string_view kSilencedByTidy =
    "NO"
    "LINT";

// NOLINT(check): reason, a comment of its own, or one that ends on the line above. A pair of pragmas has it
// above the first.
bool has_a_reason(const std::vector<std::string_view>& lines, std::size_t at) {
  for (std::size_t above = at; above > 0; --above) {
    if (is_comment(lines[above - 1])) return true;
    if (!lines[above - 1].starts_with("#pragma")) break;
  }
  const std::string_view line = lines[at];
  const std::size_t silenced = line.find(kSilencedByTidy);
  return line.find("): ", silenced == std::string_view::npos ? 0 : silenced) != std::string_view::npos;
}

TEST(Tidy, SeesTheTree) {
  EXPECT_GT(tree().size(), 500U);
  EXPECT_TRUE(
      std::any_of(tree().begin(), tree().end(), [](const File& file) { return file.name == ".ci/run"; }));
}

TEST(Tidy, NoFileIsTooLong) {
  for (const File& file : tree()) {
    if (file.is(".md") || file.is(".svg") || file.is("LICENSE")) continue;
    EXPECT_LE(lines_of(file.text).size(), kMostLinesOfAFile) << file.name;
  }
}

TEST(Tidy, NoFunctionIsTooLong) {
  std::size_t found = 0;
  for (const File& file : tree()) {
    if (!file.is_cpp()) continue;
    for (const Function& function : functions_of(file.text)) {
      ++found;
      EXPECT_LE(function.lines, kMostLinesOfAFunction)
          << file.name << ":" << function.line << ": " << function.head;
    }
  }
  EXPECT_GT(found, 3000U) << "the test does not see them";
}

TEST(Tidy, EveryFileNamesItsLicence) {
  for (const File& file : tree()) {
    if (has_no_licence_line(file)) continue;
    const std::vector<std::string_view> lines = lines_of(file.text);
    const std::size_t at = !lines.empty() && lines.front().starts_with("#!") ? 1 : 0;
    ASSERT_LT(at, lines.size()) << file.name;
    EXPECT_NE(lines[at].find("SPDX-License-Identifier: Apache-2.0"), std::string_view::npos) << file.name;
  }
}

// A source that has a header of its name is described there.
TEST(Tidy, EveryFileSaysFirstWhatItIsFor) {
  for (const File& file : tree()) {
    if (!file.is_cpp()) continue;
    const std::string header = fs::path{file.name}.stem().string() + ".hpp";
    const bool described = std::any_of(tree().begin(), tree().end(), [&](const File& other) {
      return fs::path{other.name}.filename() == header && &other != &file;
    });
    if (described && !file.is(".hpp")) continue;
    const std::vector<std::string_view> lines = lines_of(file.text);
    std::string words;
    for (std::size_t i = 1; i < lines.size() && lines[i].starts_with("// "); ++i)
      words += std::string{lines[i]} + " ";
    EXPECT_NE(words.find_first_of(".:?"), std::string::npos)
        << file.name << " begins with no sentence about itself";
  }
}

TEST(Tidy, NoWorkIsLeftForLater) {
  for (const File& file : tree()) {
    std::size_t number = 0;
    for (const std::string_view line : lines_of(file.text)) {
      ++number;
      for (const std::string_view word : kLater)
        EXPECT_FALSE(has_word(line, word)) << file.name << ":" << number << ": " << line;
    }
  }
}

// Examples in comments are indented by more than a space.
TEST(Tidy, NoCodeIsSwitchedOff) {
  const std::regex statement{
      "(\\}|#include .*|(return|if|for|while|auto|const|static|std::|EXPECT_|ASSERT_).*[;{}]|"
      ".* = .*;|.*\\) ?[;{]|.*->.*;)"};
  EXPECT_THAT(lines_where([&](const std::vector<std::string_view>& lines, std::size_t at) {
                const std::string_view line = trimmed(lines[at]);
                if (line == "#if 0" || line == "#if false") return true;
                if (!line.starts_with("// ") || line.size() < 4 || line[3] == ' ') return false;
                return std::regex_match(line.begin() + 3, line.end(), statement);
              }),
              IsEmpty());
}

TEST(Tidy, EverySilencedWarningHasAReason) {
  EXPECT_THAT(lines_where([&](const std::vector<std::string_view>& lines, std::size_t at) {
                const bool silenced = lines[at].find(kSilencedByTidy) != std::string_view::npos ||
                                      lines[at].find("diagnostic ignored \"") != std::string_view::npos;
                return silenced && !is_comment(lines[at]) && !has_a_reason(lines, at);
              }),
              IsEmpty());
}

TEST(Tidy, EveryWarningThatTheBuildSilencesHasAReason) {
  for (const File& file : tree()) {
    if (!file.is("CMakeLists.txt") && !file.is(".cmake")) continue;
    const std::vector<std::string_view> lines = lines_of(file.text);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (lines[i].find("-Wno-") == std::string_view::npos) continue;
      EXPECT_TRUE(trimmed(lines[i - 1]).starts_with("#")) << file.name << ":" << i + 1 << ": " << lines[i];
    }
  }
}

// The libraries live in programs of any locale (plain_text.hpp): what these take for a letter or a number differs by it.
TEST(Tidy, NoLibraryAsksTheLocale) {
  static constexpr std::array kRooms{"base/", "chaos/",   "cluster/", "connect/", "engine/",
                                     "ipc/",  "pinning/", "program/", "wide/"};
  static constexpr std::array kAsking{
      "isalpha", "isalnum", "isblank", "iscntrl",  "isdigit",    "isgraph",     "islower", "isprint",
      "ispunct", "isspace", "isupper", "isxdigit", "tolower",    "toupper",     "atof",    "stod",
      "stof",    "stold",   "strtod",  "strtof",   "strcasecmp", "strncasecmp", "strtold"};
  for (const File& file : tree()) {
    if (!file.is_cpp() || std::none_of(kRooms.begin(), kRooms.end(), [&file](std::string_view room) {
          return file.name.starts_with(room);
        }))
      continue;
    const std::string code = code_of(file.text);
    for (const std::string_view name : kAsking)
      EXPECT_FALSE(has_word(code, name)) << file.name << ": " << name;
  }
}

// A tree that was built: what lies there says where it was, and cmake refuses it elsewhere.
TEST(Tidy, AnImageIsBuiltFromNothingThatGitDoesNotKnow) {
  const auto lines_of_file = [](const char* name) {
    std::ifstream file{fs::path{SLUICE_SOURCE_DIR} / name};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      if (!line.empty() && line.front() != '#') lines.push_back(line);
    return lines;
  };
  std::vector<std::string> unknown{".git"};
  for (std::string line : lines_of_file(".gitignore")) {
    const bool anywhere = line.front() != '/';
    line.erase(line.find_last_not_of('/') + 1);
    unknown.push_back(anywhere ? "**/" + line : line.substr(line.find_first_not_of('/')));
  }
  EXPECT_THAT(lines_of_file(".dockerignore"), testing::UnorderedElementsAreArray(unknown));
}

}  // namespace
}  // namespace sluice::house
