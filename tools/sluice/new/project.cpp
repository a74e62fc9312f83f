// SPDX-License-Identifier: Apache-2.0
#include "new/project.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace sluice::command {
namespace {

// @NAME@ is the project's name, @VERSION@ the major and minor version of this Sluice.
constexpr std::string_view kCMake = R"(cmake_minimum_required(VERSION 3.25)
project(@NAME@ LANGUAGES CXX)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_package(sluice @VERSION@ REQUIRED)

add_executable(@NAME@ src/main.cpp)
target_link_libraries(@NAME@ PRIVATE sluice::sluice)

enable_testing()
add_executable(@NAME@_test tests/pipeline_test.cpp)
target_include_directories(@NAME@_test PRIVATE src)
target_link_libraries(@NAME@_test PRIVATE sluice::sluice)
add_test(NAME @NAME@_test COMMAND @NAME@_test)
)";

constexpr std::string_view kPipeline =
    R"(// The pipeline @NAME@: a source makes readings of sensors, workers add them up, one stage writes the totals.
// Put your own events and handlers in their place.
#pragma once

#include <cstdint>
#include <string>

#include <sluice/sluice.hpp>

constexpr std::uint32_t kSensors = 10;

// An event is a value that can be copied byte by byte.
struct Reading {
  std::uint32_t sensor = 0;
  std::uint32_t value = 0;
};

// A source makes an event at each call, and says whether there is more. What it keeps in state goes back with the batch
// that dies: its replacement goes on exactly there.
class Readings {
 public:
  Readings(sluice::Worker& worker, std::uint64_t count) : made_{worker.state<std::uint64_t>("made")}, count_{count} {}
  bool operator()(sluice::Output<Reading>& out) {
    const auto number = static_cast<std::uint32_t>(*made_);
    out.push({.sensor = number % kSensors, .value = number % 7});
    ++made_.edit();
    return *made_ < count_;
  }

 private:
  sluice::Recoverable<std::uint64_t> made_;
  std::uint64_t count_;
};

// One object in each worker.
class Add {
 public:
  explicit Add(sluice::Worker& worker) : totals_{worker.table<std::uint32_t, std::uint64_t>("totals", kSensors)} {}
  void operator()(const Reading& reading, sluice::Output<sluice::Bytes>&) { totals_[reading.sensor] += reading.value; }
  void finish(sluice::Output<sluice::Bytes>& lines) {  // Its last word, at the end of the stream.
    totals_.for_each([&lines](std::uint32_t sensor, std::uint64_t total) {
      std::string line = std::to_string(sensor);
      line.append(" ").append(std::to_string(total)).append("\n");
      lines.push(line);
    });
  }

 private:
  sluice::Table<std::uint32_t, std::uint64_t> totals_;
};

// A file that has each line once, whatever is killed.
class Write {
 public:
  Write(sluice::Worker& worker, const std::string& path) : file_{worker, "file", path} {}
  void operator()(const sluice::Bytes& line) { file_.append(line.text()); }

 private:
  sluice::AppendFile file_;
};

inline sluice::Pipeline make_pipeline(std::uint64_t readings, const std::string& path) {
  sluice::Pipeline pipeline{"@NAME@"};
  pipeline.source<Readings>("readings", readings)
      .by(&Reading::sensor)  // All of a sensor's readings come to the same worker, in order.
      .to<Add>("add", {.workers = 2})
      .to<Write>("write", path);
  return pipeline;
}
)";

constexpr std::string_view kMain = R"(#include "pipeline.hpp"

int main(int argc, char** argv) {
  return sluice::main(argc, argv, make_pipeline(5'000'000, "totals.txt"));
}
)";

constexpr std::string_view kTest =
    R"(// The same pipeline in one thread, without processes: every run does the same, and a debugger sees all of it.
#include <cstdio>
#include <fstream>
#include <map>

#include "pipeline.hpp"

int main() {
  constexpr std::uint32_t kReadings = 1000;
  std::map<std::uint32_t, std::uint64_t> expected;
  for (std::uint32_t number = 0; number < kReadings; ++number)
    expected[number % kSensors] += number % 7;

  const std::string path = "pipeline_test.txt";
  sluice::run_inline(make_pipeline(kReadings, path));
  std::map<std::uint32_t, std::uint64_t> totals;
  std::ifstream file{path};
  std::uint32_t sensor = 0;
  for (std::uint64_t total = 0; file >> sensor >> total;)
    totals[sensor] += total;
  if (totals == expected) return 0;
  std::fprintf(stderr, "the totals are wrong: see %s\n", path.c_str());
  return 1;
}
)";

constexpr std::string_view kReadme = R"(# @NAME@

A pipeline of worker processes, with Sluice @VERSION@.

```
cmake -B build                          # with -DCMAKE_PREFIX_PATH=PREFIX where Sluice is installed elsewhere
cmake --build build
ctest --test-dir build
build/@NAME@                            # writes totals.txt
build/@NAME@ --chaos "kill=20/s"        # is hurt while it runs, and writes the same
build/@NAME@ --help                     # the options that every program of Sluice has
```

While it runs: `sluice stats @NAME@`, `sluice ps`. `src/pipeline.hpp` is what to change first.
)";

constexpr std::string_view kIgnored = "/build/\n/sluice-reports/\n/totals.txt\n";

// Targets that CMake makes by itself.
constexpr std::array<std::string_view, 9> kTaken{"all",     "clean",      "edit_cache",    "help",   "test",
                                                 "install", "preinstall", "rebuild_cache", "package"};

std::string filled(std::string_view text, std::string_view word, std::string_view value) {
  std::string result;
  for (std::size_t at = 0; (at = text.find(word)) != std::string_view::npos;) {
    result.append(text.substr(0, at)).append(value);
    text.remove_prefix(at + word.size());
  }
  return result.append(text);
}

bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}

}  // namespace

std::string fault_of_name(std::string_view name) {
  constexpr std::size_t kLongest = 40;
  const bool plain = std::ranges::all_of(
      name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
  if (name.empty() || !is_letter(name.front()) || !plain)
    return "a name begins with a letter and is made of a-z, 0-9, '-' and '_'";
  if (name.size() > kLongest) return "a name has " + std::to_string(kLongest) + " characters at most";
  if (std::ranges::find(kTaken, name) != kTaken.end()) return "CMake has a target of that name";
  return "";
}

std::vector<ProjectFile> project_files(const std::string& name, const std::string& version) {
  const std::string minor = version.substr(0, version.rfind('.'));
  const auto file = [&](const char* path, std::string_view text) {
    return ProjectFile{path, filled(filled(text, "@NAME@", name), "@VERSION@", minor)};
  };
  return {file("CMakeLists.txt", kCMake), file("src/pipeline.hpp", kPipeline),
          file("src/main.cpp", kMain),    file("tests/pipeline_test.cpp", kTest),
          file("README.md", kReadme),     file(".gitignore", kIgnored)};
}

}  // namespace sluice::command
