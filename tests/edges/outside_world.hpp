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
#include "support/clear_away.hpp"

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
  ~WithOutside() override { clear_away(directory_); }

  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  std::string log() const { return file("log"); }
  Settings settings(const std::vector<std::string>& assignments = {}) const {
    Settings settings = test_settings();
    settings.set("report.path", file("reports"));
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    return settings;
  }

  // Checkpoints as often as can be, and everything waits for them.
  Settings after_checkpoints(const std::vector<std::string>& more = {}) const {
    Settings all =
        settings({"checkpoint.every=5ms", "checkpoint.sync=no", "outside.after=checkpoint", "log.level=off"});
    all.set("checkpoint.path", file("checkpoints"));
    for (const std::string& assignment : more)
      all.set_assignment(assignment);
    return all;
  }
  // From here on no checkpoint can be written, until they are allowed again.
  void forbid_checkpoints(const Engine& engine) const {
    EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.written > 0; }));
    EXPECT_TRUE(put_in_the_way(file("checkpoints")));
    EXPECT_TRUE(checkpoint_fails(engine));
  }
  static bool checkpoint_fails(const Engine& engine) {
    const std::uint64_t before = engine.stats().checkpoints.failures;
    return eventually([&] { return engine.stats().checkpoints.failures > before; });
  }
  void allow_checkpoints() const { std::filesystem::remove(file("checkpoints")); }

 private:
  std::filesystem::path directory_;
};

}  // namespace sluice::test
