// SPDX-License-Identifier: Apache-2.0
// What every page names is there: commands of `sluice` with their options, settings and their variables, files of the tree.
// Pages whose commands are run besides: tutorial_test.cpp, guides_test.cpp.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <regex>
#include <set>
#include <sys/wait.h>

#include "page.hpp"

namespace sluice::test {
namespace {

const fs::path kTree = fs::path{EXAMPLES} / "..";

std::vector<fs::path> pages() {
  std::vector<fs::path> found{kTree / "README.md", kTree / "CONTRIBUTING.md", kTree / "SECURITY.md"};
  for (const char* directory : {"docs", "docs/guide", "docs/reference"}) {
    for (const auto& entry : fs::directory_iterator{kTree / directory}) {
      // What the programs say of themselves, CommandLinePage below, has examples of the reader's own.
      if (entry.path().filename() == "command-line.md") continue;
      if (entry.path().extension() == ".md") found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// What is set as code: blocks, lines that are indented by four, and what stands between single backticks.
std::vector<std::string> code_of(const fs::path& page) {
  std::vector<std::string> code;
  std::istringstream lines{content(page)};
  bool block = false;
  bool wanted = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      block = !block;
      wanted = line != "```cpp";
    } else if (block || line.starts_with("    ")) {
      if (!block || wanted) code.push_back(line);
    } else {
      for (std::size_t from = line.find('`'); from != std::string::npos; from = line.find('`', from)) {
        const std::size_t to = line.find('`', from + 1);
        if (to == std::string::npos) break;
        code.push_back(line.substr(from + 1, to - from - 1));
        from = to + 1;
      }
    }
  }
  return code;
}

std::string said_by(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string text;
  char bytes[4096];
  for (std::size_t got = 0; pipe != nullptr && (got = std::fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
    text.append(bytes, got);
  if (pipe != nullptr) ::pclose(pipe);
  return text;
}

using Words = std::map<std::string, std::set<std::string>>;

// Of each command, "config lint", its options and commands, as shells complete them; "" is `sluice` itself.
Words known_words() {
  const std::string text = said_by(PROGRAMS "/sluice completion bash");
  const std::regex entry{"\\[\"([a-z -]+)\"\\]=\"([^\"]*)\""};
  Words known;
  for (std::sregex_iterator each{text.begin(), text.end(), entry}, end; each != end; ++each) {
    const std::string command = (*each)[1] == "sluice" ? "" : (*each)[1].str();
    std::istringstream words{(*each)[2]};
    for (std::string word; words >> word;)
      known[command].insert(word);
  }
  // Programs of their own: the suites of one stand where commands do, and the other need not be there.
  known.erase("bench");
  if (known["cluster"].size() <= 1) known.erase("cluster");
  return known;
}

// The words behind `sluice` in a line of code: up to what is the shell's, a remark's, or another program's.
std::vector<std::vector<std::string>> commands_in(const std::string& code) {
  static const std::regex start{"(^|[ (/])sluice ([a-z])"};
  static const std::regex stop{" -- | --$|  |[;&<>#)]| \\| |`|\\.\\.\\."};
  std::vector<std::vector<std::string>> found;
  for (std::sregex_iterator each{code.begin(), code.end(), start}, end; each != end; ++each) {
    std::string rest = code.substr(static_cast<std::size_t>(each->position(2)));
    std::smatch over;
    if (std::regex_search(rest, over, stop)) rest.resize(static_cast<std::size_t>(over.position(0)));
    std::replace_if(
        rest.begin(), rest.end(), [](char c) { return c == '[' || c == ']' || c == ','; }, ' ');
    std::istringstream words{rest};
    std::vector<std::string> command;
    for (std::string word; words >> word;)
      command.push_back(word);
    if (!command.empty()) found.push_back(std::move(command));
  }
  return found;
}

bool has_commands(const std::set<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [](const std::string& word) { return !word.starts_with("--"); });
}

// What of the command is not known; empty if all of it is.
std::string unknown_in(const std::vector<std::string>& command, const Words& known) {
  std::string path;
  for (const std::string& word : command) {
    const auto here = known.find(path);
    if (here == known.end()) {
      const std::string help = said_by(PROGRAMS "/sluice " + path + " --help");
      if (word.starts_with("--") && help.find(word.substr(0, word.find('='))) == std::string::npos)
        return word;
      // A program of its own, which may have commands.
      if (!word.starts_with("--") && path.find(' ') == std::string::npos) path += " " + word;
      continue;
    }
    if (word.starts_with("--")) {
      if (!here->second.contains(word.substr(0, word.find('=')))) return word;
    } else if (has_commands(here->second)) {
      std::istringstream alternatives{word};
      std::string one;
      while (std::getline(alternatives, one, '|'))
        if (!here->second.contains(one)) return one;
      path += (path.empty() ? "" : " ") + one;
    }
  }
  return {};
}

TEST(EveryPage, NamesCommandsAndOptionsThatThereAre) {
  const Words known = known_words();
  ASSERT_GT(known.size(), 20U);
  std::size_t count = 0;
  for (const fs::path& page : pages()) {
    for (const std::string& code : code_of(page)) {
      if (code.find("sluice event in hand") != std::string::npos) continue;  // A section of a core.
      for (const std::vector<std::string>& command : commands_in(code)) {
        ++count;
        const std::string unknown = unknown_in(command, known);
        EXPECT_EQ(unknown, "") << page.filename() << " has: " << code;
      }
    }
  }
  EXPECT_GT(count, 90U);
}

// Those that need no pipeline that runs, and nothing that the reader is to put in.
TEST(EveryPage, HasCommandsAboutPlansAndSettingsThatAreUnderstood) {
  const std::regex offline{"^ *(build/release/bin/)?(sluice (plan|topo|config) .*)$"};
  const std::regex put_in{" [A-Z]+( |$)|\\.\\.\\.|\\./|\\.(xml|conf)|[|]"};
  const Playground playground;
  std::set<std::string> run;
  for (const fs::path& page : pages()) {
    for (const std::string& code : code_of(page)) {
      std::smatch found;
      if (!std::regex_match(code, found, offline) || std::regex_search(code, put_in)) continue;
      if (!run.insert(found[2]).second) continue;
      const std::string command = "cd '" + playground.path().string() +
                                  "' && PATH=" PROGRAMS ":$PATH bash -c '" + found[2].str() + "' > said 2>&1";
      const int status = std::system(command.c_str());
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 2)
          << page.filename() << " has: " << code << "\n"
          << content(playground.path() / "said");
    }
  }
  EXPECT_GT(run.size(), 4U);
}

// As the reference writes it: SLUICE_STAGE_<NAME>_WORKERS where there is one for stages.
bool is_variable(const std::string& name, const std::string& reference) {
  static const std::regex of_a_stage{"^STAGE_[A-Z0-9]+_"};
  static const std::set<std::string> tests{"ANY_PIPELINES", "CONNECT_KILLS",
                                           "KAFKA_BROKERS"};  // Theirs alone.
  const auto has = [&](const std::string& each) {
    return reference.find("`SLUICE_" + each + "`") != std::string::npos;
  };
  return has(name) || has(std::regex_replace(name, of_a_stage, "STAGE_<NAME>_")) || tests.contains(name);
}

// A decision may be named by its number.
bool is_of_the_tree(const std::string& name) {
  const fs::path path = kTree / name;
  if (fs::exists(path)) return true;
  if (!name.starts_with("docs/decisions/") || !fs::exists(path.parent_path())) return false;
  const std::string number = path.filename().string() + "-";
  return std::any_of(fs::directory_iterator{path.parent_path()}, fs::directory_iterator{},
                     [&](const auto& each) { return each.path().filename().string().starts_with(number); });
}

TEST(EveryPage, NamesSettingsAndVariablesThatThereAre) {
  const std::string reference = content(kTree / "docs/reference/settings.md");
  const std::regex variable{"(^|[^A-Z_D])SLUICE_([A-Z0-9_]+)="};
  const std::regex assignment{"--set ([a-z_.0-9]+)="};
  const std::regex of_a_stage{"^stage\\.[a-z0-9_-]+\\."};
  std::size_t count = 0;
  for (const fs::path& page : pages()) {
    const std::string text = content(page);
    for (std::sregex_iterator each{text.begin(), text.end(), variable}, end; each != end; ++each) {
      if (page.filename() == "CONTRIBUTING.md") continue;  // Those of builds and tests.
      ++count;
      EXPECT_TRUE(is_variable((*each)[2], reference)) << page.filename() << " has SLUICE_" << (*each)[2];
    }
    for (std::sregex_iterator each{text.begin(), text.end(), assignment}, end; each != end; ++each) {
      const std::string key = std::regex_replace((*each)[1].str(), of_a_stage, "");
      ++count;
      EXPECT_NE(reference.find("\n## " + key + "\n"), std::string::npos)
          << page.filename() << " sets " << (*each)[1];
    }
  }
  EXPECT_GT(count, 30U);
}

TEST(EveryPage, NamesFilesOfTheTreeThatThereAre) {
  const std::regex path{"(^|[ (=./])((tools|examples|deploy|docs|bench|tests)/[A-Za-z0-9_./-]*[A-Za-z0-9_])"};
  std::size_t count = 0;
  for (const fs::path& page : pages()) {
    for (const std::string& code : code_of(page)) {
      for (std::sregex_iterator each{code.begin(), code.end(), path}, end; each != end; ++each) {
        // What a build makes is not of the tree.
        if (each->prefix().str().ends_with("build/release") || each->prefix().str().ends_with("build/asan"))
          continue;
        ++count;
        EXPECT_TRUE(is_of_the_tree((*each)[2])) << page.filename() << " has: " << code;
      }
    }
  }
  EXPECT_GT(count, 60U);
}

TEST(CommandLinePage, HasWhatEachCommandSaysOfItself) {
  for (const char* program : {"sluice-bench", "sluice-cluster"})
    if (!fs::exists(fs::path{PROGRAMS} / program)) GTEST_SKIP() << program << " is not built";
  EXPECT_EQ(said_by((kTree / "tools/command-line").string() + " " PROGRAMS),
            content(kTree / "docs/reference/command-line.md"))
      << "run: tools/command-line > docs/reference/command-line.md";
}

// tools/docs makes it of docs/, and refuses a link that leads out of it; mkdocs is not everywhere.
TEST(EveryPage, OfTheSiteLinksToWhatTheSiteHas) {
  const std::regex link{"\\]\\(([^)\\s:#]+\\.(md|png|svg))(#[^)]*)?\\)"};
  const fs::path docs = fs::canonical(kTree / "docs");
  std::size_t links = 0;
  for (const auto& entry : fs::recursive_directory_iterator{docs}) {
    if (entry.path().extension() != ".md") continue;
    const std::string text = content(entry.path());
    for (std::sregex_iterator each{text.begin(), text.end(), link}, end; each != end; ++each) {
      const fs::path target = fs::weakly_canonical(entry.path().parent_path() / (*each)[1].str());
      EXPECT_TRUE(target.string().starts_with(docs.string() + "/") && fs::exists(target))
          << entry.path() << " has " << (*each)[1];
      ++links;
    }
  }
  EXPECT_GT(links, 100U);
}

}  // namespace
}  // namespace sluice::test
