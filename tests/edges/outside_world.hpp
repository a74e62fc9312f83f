// SPDX-License-Identifier: Apache-2.0
// An outside for the tests: a directory with a file that handlers write lines to by themselves, whatever becomes of
// their events, and files that stand for services that are there or away.
#pragma once

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {

// One line, at once: lines of several processes do not mix, and a process that dies has written a whole one or none.
inline void log_line(const std::string& path, const std::string& line) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

inline std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file{path};
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

class WithOutside : public WithProcesses {
 protected:
  WithOutside() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-outside-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~WithOutside() override { std::filesystem::remove_all(directory_); }

  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  std::string log() const { return file("log"); }
  Settings settings(const std::vector<std::string>& assignments = {}) const {
    Settings settings = test_settings();
    settings.set("report.path", file("reports"));
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    return settings;
  }

 private:
  std::filesystem::path directory_;
};

}  // namespace sluice::test
