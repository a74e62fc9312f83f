// SPDX-License-Identifier: Apache-2.0
#include "reports.hpp"

#include <algorithm>
#include <fstream>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "dead_files.hpp"

namespace sluice::command {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhat = "reports of deaths";
// A report has at most a backtrace for each thread of a worker.
constexpr std::size_t kMostReportLine = std::size_t{4} << 20;

// The older first.
std::vector<fs::path> files_in(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const char* name : {"deaths.jsonl.1", "deaths.jsonl"}) {
    if (fs::exists(fs::symlink_status(directory / name, none))) files.push_back(directory / name);
  }
  return files;
}

// Of the directory, or of all in it: each run has one of its own.
std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files = files_in(directory);
  if (!files.empty()) return files;
  std::vector<fs::path> runs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{directory, error}) {
    std::error_code none;
    if (entry.is_directory(none)) runs.push_back(entry.path());
  }
  std::sort(runs.begin(), runs.end());
  for (const fs::path& run : runs) {
    for (fs::path& file : files_in(run))
      files.push_back(std::move(file));
  }
  return files;
}

void read_file(const fs::path& path, Reports& reports) {
  require_regular(path, kWhat);
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    throw Error{{fmt::format("read {} from", kWhat), printable(path.string()), errno_text(),
                 "name the directory that the pipeline told"}};
  }
  std::size_t line_number = 0;
  for (std::string line; std::getline(file, line);) {
    ++line_number;
    const bool whole = !file.eof();
    try {
      if (line.size() > kMostReportLine) throw JsonFault{"it is longer than any report"};
      reports.all.push_back({0, JsonObject{line}});
    } catch (const JsonFault& fault) {
      const std::string where = fmt::format("line {} of {}", line_number, printable(path.string()));
      if (whole) {
        reports.unreadable.push_back(fmt::format("{}: {}", where, printable(fault.why)));
      } else {
        reports.torn.push_back(fmt::format("{}, {} bytes", where, line.size()));
      }
    }
  }
}

}  // namespace

Reports reports_in(const std::string& path) {
  std::error_code none;
  const std::vector<fs::path> files =
      fs::is_directory(path, none) ? files_below(path) : std::vector<fs::path>{path};
  if (files.empty()) {
    throw Error{{fmt::format("find {} in", kWhat), printable(path), "there are none",
                 "name the directory that the pipeline told, if something died in it"}};
  }
  Reports reports;
  for (const fs::path& file : files)
    read_file(file, reports);
  // A line is written once its backtrace has names, which takes longer for one than for another.
  std::stable_sort(reports.all.begin(), reports.all.end(), [](const Report& one, const Report& other) {
    return one.fields.text("time") < other.fields.text("time");
  });
  for (std::size_t i = 0; i < reports.all.size(); ++i)
    reports.all[i].number = i + 1;
  return reports;
}

bool is_of(const Report& report, std::string_view pipeline, std::string_view stage) {
  if (!pipeline.empty() && report.fields.text("pipeline") != pipeline) return false;
  const std::string worker = report.fields.text("worker");
  return stage.empty() || worker == stage ||
         (worker.starts_with(stage) && worker.substr(stage.size()).starts_with('/'));
}

}  // namespace sluice::command
