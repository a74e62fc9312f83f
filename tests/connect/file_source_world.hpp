// SPDX-License-Identifier: Apache-2.0
// Pipelines that read files, and what has come out of them.
#pragma once

#include <atomic>
#include <fstream>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sluice/connect/file_source.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/files.hpp"

namespace sluice::test {

// A line as the host of these tests gets it: its file, number and text.
struct Tell {
  void operator()(const FileRecord& line, Output<Bytes>& out) const {
    out.push(std::to_string(line.head.file) + " " + std::to_string(line.head.line) + " " +
             std::string{line.text()});
  }
};

inline Pipeline reading(const FileSourceOptions& options, unsigned workers = 1) {
  Pipeline pipeline{"files"};
  pipeline.source<FileSource>("read", {.workers = workers}, options).to<Tell>("tell").outlet("out");
  return pipeline;
}

class FileSources : public WithProcesses {
 protected:
  Settings settings() const {
    Settings settings = test_settings();
    settings.set("report.path", path("reports"));
    settings.set("lane.bytes", "16KiB");  // Readers do not run ahead of those who count and kill.
    return settings;
  }
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  // Appends, as a program that keeps a log does.
  void append(const std::string& name, const std::string& text) const {
    std::ofstream{path(name), std::ios::app | std::ios::binary} << text;
  }

  void rename(const std::string& from, const std::string& to) const {
    std::filesystem::rename(path(from), path(to));
  }

  TemporaryDirectory directory_;
};

// Kills the workers of the stage `read` again and again, each some progress after the last one: `every` lines on average, which
// are not gone by before it looks.
class Killer {
 public:
  Killer(Engine& engine, Collector<Bytes>& out, std::size_t every)
      : out_{out}, thread_{[this, &engine, &out, every] {
          std::mt19937 random{std::random_device{}()};
          for (std::size_t next = every; !over_; next += 1 + random() % (2 * every)) {
            out.hold_at(next);
            while (!over_ && out.count() < next)
              std::this_thread::sleep_for(100us);
            const pid_t pid =
                worker_of(engine,
                          "read/" + std::to_string(random() % engine.stats().stages[0].workers.size()))
                    .pid;
            if (pid <= 1 || over_) continue;
            if (::kill(pid, SIGKILL) == 0) ++kills_;
          }
        }} {}
  ~Killer() { stop(); }
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

  int stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    out_.hold_at(std::numeric_limits<std::size_t>::max());
    return kills_;
  }

 private:
  Collector<Bytes>& out_;
  std::atomic<bool> over_{false};
  std::atomic<int> kills_{0};
  std::thread thread_;
};

inline std::string numbered(int from, int to, const std::string& word) {
  std::string text;
  for (int i = from; i < to; ++i)
    text += word + " " + std::to_string(i) + "\n";
  return text;
}

// A pipeline that follows files, and what has come out of it.
class Following {
 public:
  // With a grace for rotated files that tests can wait for.
  Following(const std::string& path, const Settings& settings)
      : Following{FileSourceOptions{.paths = {path}, .follow = true, .rotation_grace = 20ms}, settings} {}
  Following(const FileSourceOptions& options, const Settings& settings, unsigned workers = 1)
      : pipeline_{reading(options, workers)}, engine_{pipeline_, settings} {
    engine_.start();
    out_.emplace(engine_, "out");
  }
  Engine& engine() { return engine_; }
  Collector<Bytes>& out() { return *out_; }
  bool has(std::size_t lines) {
    return eventually([&] { return out_->count() >= lines; });
  }
  std::vector<std::string> drain() {
    engine_.drain();
    return out_->all();
  }
  // The source looks at nothing from pause() to go_on().
  void pause() {
    const pid_t pid = worker_of(engine_, "read/0").pid;
    ASSERT_TRUE(engine_.signal_worker("read/0", SIGSTOP));
    ASSERT_TRUE(eventually([&] { return is_stopped(pid); }));
  }
  void go_on() { ASSERT_TRUE(engine_.signal_worker("read/0", SIGCONT)); }
  std::vector<std::string> problems() const { return engine_.stats().problems; }

 private:
  Pipeline pipeline_;
  Engine engine_;
  std::optional<Collector<Bytes>> out_;
};

// The texts alone.
inline std::vector<std::string> texts(const std::vector<std::string>& lines) {
  std::vector<std::string> texts;
  texts.reserve(lines.size());
  for (const std::string& line : lines)
    texts.push_back(line.substr(line.find(' ', line.find(' ') + 1) + 1));
  return texts;
}

}  // namespace sluice::test
