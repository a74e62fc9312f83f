// SPDX-License-Identifier: Apache-2.0
// A page of the documentation that is run: its commands say what it says that they say, and what it shows of programs stands in them.
#pragma once

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

namespace fs = std::filesystem;

inline std::string content(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// The blocks of the page that begin with ```language.
inline std::vector<std::string> blocks(const fs::path& file, const std::string& language) {
  std::vector<std::string> found;
  std::istringstream page{content(file)};
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

inline std::vector<Command> commands(const fs::path& file) {
  std::vector<Command> found;
  for (const std::string& block : blocks(file, "console")) {
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
inline bool says(std::string_view text, std::string_view expected) {
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
inline std::string script(const std::vector<Command>& all) {
  // A page that is not true leaves no program behind.
  std::string text = "trap 'kill $(jobs -p) 2> /dev/null' EXIT\n";
  text += "export PATH=" LADDER ":" PROGRAMS ":" TESTS ":$PATH XDG_RUNTIME_DIR=$(realpath ..)\n";
  for (std::size_t i = 0; i < all.size(); ++i)
    text += "echo '@" + std::to_string(i) + "@'\n" + all[i].text + "\n";
  return text;
}

inline std::string part(const std::string& said, std::size_t i) {
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
    std::string name = (fs::temp_directory_path() / "sluice-page-XXXXXX").string();
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

inline void expect_page_runs(const fs::path& page) {
  const Playground playground;
  const std::vector<Command> all = commands(page);
  ASSERT_FALSE(all.empty());
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

inline void expect_shown_in(const fs::path& page, const std::string& programs) {
  for (const std::string& block : blocks(page, "cpp"))
    EXPECT_NE(programs.find(block), std::string::npos) << block;
}

}  // namespace sluice::test
