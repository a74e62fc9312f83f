// SPDX-License-Identifier: Apache-2.0
// The tutorial is right: every command of it says what the page says that it says, and every piece of a program that it shows
// stands in examples/ladder.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// The blocks of the page that begin with ```language.
std::vector<std::string> blocks(const std::string& language) {
  std::vector<std::string> found;
  std::istringstream page{content(TUTORIAL)};
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (!inside && line == "```" + language) {
      inside = true;
      found.emplace_back();
    } else if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      found.back() += line + "\n";
    }
  }
  return found;
}

struct Command {
  std::string text;
  std::string expected;  // With "..." for anything.
};

std::vector<Command> commands() {
  std::vector<Command> found;
  for (const std::string& block : blocks("console")) {
    std::istringstream lines{block};
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("$ ")) {
        found.push_back({line.substr(2), ""});
      } else if (!found.empty()) {
        found.back().expected += line + "\n";
      }
    }
  }
  return found;
}

// Whether `text` is `expected`, in which "..." may be anything, also nothing, and many lines. What is between is looked for
// from left to right.
bool says(std::string_view text, std::string_view expected) {
  constexpr std::string_view kAnything = "...";
  std::size_t at = expected.find(kAnything);
  if (at == std::string_view::npos) return text == expected;
  if (!text.starts_with(expected.substr(0, at))) return false;
  text.remove_prefix(at);
  while (true) {
    expected.remove_prefix(at + kAnything.size());
    if (expected.starts_with('\n')) expected.remove_prefix(1);
    at = expected.find(kAnything);
    if (at == std::string_view::npos) return text.ends_with(expected);
    const std::size_t found = text.find(expected.substr(0, at));
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + at);
  }
}

// All commands in one shell, as a reader types them; a line that nobody else writes stands before what each says.
std::string script(const std::vector<Command>& all) {
  std::string text = "export PATH=" LADDER ":" PROGRAMS ":$PATH\n";
  for (std::size_t i = 0; i < all.size(); ++i)
    text += "echo '@" + std::to_string(i) + "@'\n" + all[i].text + "\n";
  return text;
}

std::string part(const std::string& said, std::size_t i) {
  const std::string head = "@" + std::to_string(i) + "@\n";
  const std::size_t from = said.find(head);
  if (from == std::string::npos) return "not run\n";
  const std::size_t begin = from + head.size();
  return said.substr(begin, said.find("@" + std::to_string(i + 1) + "@\n", begin) - begin);
}

// An empty directory, gone with this.
class Playground {
 public:
  Playground() {
    std::string name = (fs::temp_directory_path() / "sluice-tutorial-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  Playground(const Playground&) = delete;
  Playground& operator=(const Playground&) = delete;
  ~Playground() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST(Tutorial, SaysWhatItsCommandsSay) {
  const Playground playground;
  const std::vector<Command> all = commands();
  ASSERT_GT(all.size(), 30U);
  fs::create_directory(playground.path() / "work");
  std::ofstream{playground.path() / "script"} << script(all);
  const std::string run = "cd " + (playground.path() / "work").string() +
                          " && timeout 100 bash ../script > ../said 2>&1 < /dev/null";
  EXPECT_EQ(std::system(run.c_str()), 0);
  const std::string said = content(playground.path() / "said");
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(says(part(said, i), all[i].expected)) << "$ " << all[i].text << "\n"
                                                      << part(said, i) << "and the page has:\n"
                                                      << all[i].expected;
  }
}

TEST(Tutorial, ShowsWhatStandsInItsPrograms) {
  std::string programs;
  for (const auto& entry : fs::directory_iterator{LADDER_SOURCES})
    programs += content(entry.path());
  for (const std::string& block : blocks("cpp"))
    EXPECT_NE(programs.find(block), std::string::npos) << block;
}

TEST(Tutorial, RunsEveryProgramOfTheLadder) {
  const std::string page = content(TUTORIAL);
  int programs = 0;
  for (const auto& entry : fs::directory_iterator{LADDER_SOURCES}) {
    if (entry.path().extension() != ".cpp") continue;
    ++programs;
    const std::string text = content(entry.path());
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 60) << entry.path();
    std::string name = entry.path().stem().string().substr(3);
    std::ranges::replace(name, '_', '-');
    EXPECT_TRUE(std::ranges::any_of(commands(), [&](const Command& command) {
      return (" " + command.text + " ").find(" " + name + " ") != std::string::npos;
    })) << name;
    EXPECT_NE(page.find("`" + entry.path().filename().string() + "`"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(programs, 10);
}

}  // namespace
}  // namespace sluice::test
