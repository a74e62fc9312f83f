// SPDX-License-Identifier: Apache-2.0
#include "reports.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "bounded_lines.hpp"
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

// As many as it may be: of each file one is kept.
void allow_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void Reports::refuse(const std::string& where, const std::string& why) {
  // Of a file of something else it would be every line.
  constexpr std::size_t kMostNamed = 3;
  if (++unreadable_ <= kMostNamed) first_unreadable_.push_back(fmt::format("{}: {}", where, printable(why)));
}

void Reports::read_places(const fs::path& path, const std::function<bool(const JsonObject&)>& wanted) {
  require_regular(path, kWhat, "name a file of reports of deaths, or a directory of them");
  detail::Descriptor file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!file) {
    throw Error{{fmt::format("read {} from", kWhat), printable(path.string()), errno_text(),
                 "name the directory that the pipeline told"}};
  }
  files_.push_back({path, std::move(file)});
  BoundedLines lines{files_.back().open.get(), kMostReportLine};
  for (std::size_t number = 1; lines.next(); ++number) {
    try {
      if (lines.is_too_long()) throw JsonFault{"it is longer than any report"};
      const JsonObject report{lines.text()};
      Place place{{},
                  lines.offset(),
                  static_cast<std::uint32_t>(lines.text().size()),
                  wanted(report),
                  files_.size() - 1};
      report.text("time").copy(place.time.data(), place.time.size());
      places_.push_back(place);
    } catch (const JsonFault& fault) {
      const std::string where = fmt::format("line {} of {}", number, printable(path.string()));
      if (lines.has_end() || lines.is_too_long()) {
        refuse(where, fault.why);
      } else {
        torn_.push_back(fmt::format("{}, {} bytes", where, lines.text().size()));
      }
    }
  }
}

Reports::Reports(const std::string& path, const std::function<bool(const JsonObject&)>& wanted) {
  std::error_code none;
  const std::vector<fs::path> files =
      fs::is_directory(path, none) ? files_below(path) : std::vector<fs::path>{path};
  if (files.empty()) {
    throw Error{{fmt::format("find {} in", kWhat), printable(path), "there are none",
                 "name the directory that the pipeline told, if something died in it"}};
  }
  allow_files();
  for (const fs::path& file : files)
    read_places(file, wanted);
  // A line is written once its backtrace has names, which takes longer for one than for another.
  std::stable_sort(places_.begin(), places_.end(),
                   [](const Place& one, const Place& other) { return one.time < other.time; });
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].wanted) wanted_.push_back(i + 1);
  }
}

JsonObject Reports::read(std::size_t number) const {
  const Place& place = places_.at(number - 1);
  const File& file = files_.at(place.file);
  std::string line(place.bytes, '\0');
  const ssize_t got = ::pread(file.open.get(), line.data(), line.size(), static_cast<off_t>(place.offset));
  try {
    if (got == static_cast<ssize_t>(line.size())) return JsonObject{line};
  } catch (const JsonFault&) {
  }
  throw Error{{fmt::format("read {} from", kWhat), printable(file.path.string()),
               "it was written over in the meantime", "try again"}};
}

bool is_of(const JsonObject& report, std::string_view pipeline, std::string_view stage) {
  if (!pipeline.empty() && report.text("pipeline") != pipeline) return false;
  const std::string worker = report.text("worker");
  return stage.empty() || worker == stage ||
         (worker.starts_with(stage) && worker.substr(stage.size()).starts_with('/'));
}

}  // namespace sluice::command
