// SPDX-License-Identifier: Apache-2.0
// The face: namespace sluice, and the headers directly in <sluice/...>, hold what ARCHITECTURE.md lists as
// the face and nothing else; everything else is sluice::detail or a namespace of a floor below.
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

const fs::path kRoot{SLUICE_SOURCE_DIR};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file{path};
  EXPECT_TRUE(file.good()) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

// The words in backticks behind the first column of the table in the section "The face".
Names listed() {
  Names names;
  bool inside = false;
  for (const std::string& line : lines_of(kRoot / "ARCHITECTURE.md")) {
    if (line.starts_with("## ")) inside = line == "## The face";
    const std::size_t second = line.find('|', 1);
    if (!inside || !line.starts_with("| `") || second == std::string::npos) continue;
    const std::string row = line.substr(second);
    const std::regex word{"`([A-Za-z_]+)`"};
    for (std::sregex_iterator at{row.begin(), row.end(), word}, end; at != end; ++at)
      names.insert((*at)[1].str());
  }
  return names;
}

// What a line at the left margin declares; empty for none. The formatter leaves nothing else there.
std::string declared_in(const std::string& line) {
  static const std::string kOthers =
      "template|requires|static_assert|namespace|class|struct|enum|using|concept";
  static const std::array kinds{std::regex{R"(^(?:class|struct|enum class) (?:\[\[\w+\]\] )?(\w+))"},
                                std::regex{R"(^using (\w+) =)"}, std::regex{R"(^concept (\w+))"},
                                std::regex{R"(^inline constexpr [^=({]*?(\w+)(?: =|\{|;))"},
                                std::regex{"^(?!" + kOthers + R"()[A-Za-z_][^(=]*?(\w+)\()"}};
  for (const std::regex& kind : kinds) {
    std::smatch match;
    if (std::regex_search(line, match, kind)) return match[1];
  }
  return {};
}

// What a header declares in namespace sluice itself.
Names declared(const fs::path& header) {
  Names names;
  std::vector<std::string> spaces;
  for (const std::string& line : lines_of(header)) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex{R"(namespace ([\w:]+) \{)"})) {
      spaces.push_back(match[1]);
    } else if (line.starts_with("}  // namespace")) {
      spaces.pop_back();
    } else if (spaces == std::vector<std::string>{"sluice"}) {
      if (const std::string name = declared_in(line); !name.empty()) names.insert(name);
    }
  }
  EXPECT_TRUE(spaces.empty()) << header;
  return names;
}

Names in_headers() {
  Names names;
  for (const char* floor : {"base", "engine", "wide", "chaos", "program", "cluster"}) {
    for (const auto& file : fs::directory_iterator{kRoot / floor / "include" / "sluice"}) {
      if (file.is_regular_file()) names.merge(declared(file.path()));
    }
  }
  return names;
}

// What nm says of a file, line by line.
std::vector<std::string> symbols(const std::string& options, const std::string& file) {
  std::vector<std::string> lines;
  FILE* nm = ::popen(("nm " + options + " '" + file + "' 2>&1").c_str(), "r");
  if (nm == nullptr) return lines;
  std::array<char, 65536> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), nm) != nullptr)
    lines.emplace_back(line.data());
  EXPECT_EQ(::pclose(nm), 0) << file;
  return lines;
}

// What the engine's library defines for others in namespace sluice itself.
Names in_library() {
  Names names;
  // Templates of the standard library name our types behind their own.
  const std::regex ours{
      R"(^[0-9a-f]+ [A-Z] (?:(?:vtable|typeinfo|typeinfo name|guard variable) for )?sluice::(\w+))"};
  for (const std::string& line : symbols("--demangle --defined-only --extern-only", SLUICE_ENGINE_LIBRARY)) {
    std::smatch match;
    if (std::regex_search(line, match, ours)) names.insert(match[1]);
  }
  // An operator goes with its operands.
  for (const char* inner : {"detail", "ipc", "pinning", "operator"})
    names.erase(inner);
  return names;
}

TEST(Face, IsTheListInTheArchitecture) {
  const Names face = listed();
  EXPECT_GT(face.size(), 30U);
  EXPECT_EQ(in_headers(), face) << "declared in the public headers, then listed";
}

TEST(Face, IsAllThatTheLibraryHasInTheNamespace) {
  const Names face = listed();
  const Names defined = in_library();
  EXPECT_TRUE(defined.contains("Engine"));
  for (const std::string& name : defined)
    EXPECT_TRUE(face.contains(name)) << "sluice::" << name << " is not listed as the face";
}

TEST(Face, RunsNothingWhenItIsIncluded) {
  for (const std::string& line : symbols("--defined-only", SLUICE_INCLUDES_ONLY))
    EXPECT_EQ(line.find("_GLOBAL__sub_I"), std::string::npos) << line;
}

}  // namespace
