// SPDX-License-Identifier: Apache-2.0
// Pipelines that read files, and what has come out of them.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <sluice/connect/file_source.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/files.hpp"

namespace sluice::test {

using FileRecord = Record<FileLineHead>;

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

  TemporaryDirectory directory_;
};

// A pipeline that follows files, and what has come out of it.
class Following {
 public:
  Following(const std::string& path, const Settings& settings)
      : pipeline_{reading({.paths = {path}, .follow = true})}, engine_{pipeline_, settings} {
    engine_.start();
    out_.emplace(engine_, "out");
  }
  Engine& engine() { return engine_; }
  const Collector<Bytes>& out() { return *out_; }
  bool has(std::size_t lines) {
    return eventually([&] { return out_->count() >= lines; });
  }
  std::vector<std::string> drain() {
    engine_.drain();
    return out_->all();
  }

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
