// SPDX-License-Identifier: Apache-2.0
#include "market/input_plan.hpp"

#include <algorithm>
#include <fcntl.h>
#include <limits>
#include <map>
#include <set>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/connect/line_reader.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

namespace market {
namespace {

// How far the first receive time is looked for; a file that begins with more junk is sorted behind the
// others.
constexpr std::size_t kLinesLookedAt = 100;

sluice::Error bad_input(const std::string& path, std::string why, std::string remedy) {
  return sluice::Error{
      {.tried = "take the capture file", .object = path, .why = std::move(why), .remedy = std::move(remedy)}};
}

std::int64_t sort_time(const InputFile& file) {
  return file.first_receive_ns.value_or(std::numeric_limits<std::int64_t>::max());
}

// Files that begin at one instant, or without one, stay in the order in which they were named.
void order_by_time(InputGroup& group) {
  std::stable_sort(group.files.begin(), group.files.end(),
                   [](const InputFile& a, const InputFile& b) { return sort_time(a) < sort_time(b); });
  for (const InputFile& file : group.files)
    group.size_bytes += file.size_bytes;
}

void refuse_duplicates(const std::vector<InputFile>& files) {
  std::map<std::pair<std::uint64_t, std::uint64_t>, const InputFile*> seen;
  for (const InputFile& file : files) {
    const auto [first, is_new] = seen.try_emplace({file.device, file.inode}, &file);
    if (is_new) continue;
    throw bad_input(file.path, "it is the same file as " + first->second->path,
                    "name each file once, or its events count twice");
  }
}

std::vector<InputGroup> make_groups(std::vector<InputFile> files) {
  const bool one_group = std::any_of(
      files.begin(), files.end(), [](const InputFile& file) { return file.format == CaptureFormat::merged; });
  std::vector<InputGroup> groups;
  if (one_group) {
    groups.emplace_back().files = std::move(files);
  } else {
    std::map<Instrument, std::size_t> group_of;
    for (InputFile& file : files) {
      const auto [entry, is_new] = group_of.try_emplace(file.instrument, groups.size());
      if (is_new) groups.emplace_back();
      groups[entry->second].files.push_back(std::move(file));
    }
  }
  for (InputGroup& group : groups)
    order_by_time(group);
  return groups;
}

// The first line decides the format; the first line with a time, which may be a later one, gives the time.
void look_into(InputFile& file, bool name_is_raw) try {
  sluice::LineReader capture{file.path, {.access_point_every_bytes = 0}};
  file.format = name_is_raw ? CaptureFormat::raw : CaptureFormat::unknown;
  for (std::size_t looked_at = 0; looked_at < kLinesLookedAt && !file.first_receive_ns; ++looked_at) {
    const sluice::FileLine line = capture.next();
    if (line.status == sluice::LineStatus::end || line.status == sluice::LineStatus::broken) return;
    if (looked_at == 0) file.format = detect_format(name_is_raw, line.text);
    file.first_receive_ns = receive_time_ns(line.text);
  }
} catch (const sluice::Unavailable& away) {
  throw bad_input(file.path, away.what(), "begin again once it can be read");
}

}  // namespace

bool is_stream(const std::string& path) {
  struct stat status {};
  if (path == kStandardInput) return true;
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

InputFile inspect_input(const std::string& path) {
  InputFile file;
  file.path = path;
  struct stat status {};
  const bool standard_input = path == kStandardInput;
  if ((standard_input ? ::fstat(0, &status) : ::stat(path.c_str(), &status)) != 0) {
    throw bad_input(path, sluice::errno_text(), "check the path and the right to read it");
  }
  file.device = status.st_dev;
  file.inode = status.st_ino;
  if (standard_input || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) {
    file.format = CaptureFormat::merged;
    return file;
  }
  file.size_bytes = static_cast<std::uint64_t>(status.st_size);
  const CaptureName name = read_capture_name(path);
  look_into(file, name.fault.empty());
  if (file.format == CaptureFormat::raw && !name.fault.empty()) {
    throw bad_input(path, "its lines are a recorder's, but " + std::string{name.fault},
                    "rename it to VENUE_SYMBOL_DAY.gz, as in spot_btcusdt_20240808.gz");
  }
  file.instrument = name.instrument;
  return file;
}

InputPlan plan_inputs(std::vector<InputFile> files, std::size_t workers) {
  if (files.empty() || workers == 0) {
    throw sluice::Error{{.tried = "plan the inputs",
                         .object = {},
                         .why = files.empty() ? "there is no capture file" : "there is no source worker",
                         .remedy = files.empty() ? "name at least one file" : "use at least one worker"}};
  }
  refuse_duplicates(files);
  std::vector<InputGroup> groups = make_groups(std::move(files));

  // The largest group first, each to the worker that has least: never more than a third worse than the best
  // deal.
  std::stable_sort(groups.begin(), groups.end(),
                   [](const InputGroup& a, const InputGroup& b) { return a.size_bytes > b.size_bytes; });
  InputPlan plan;
  plan.workers.resize(workers);
  std::vector<std::pair<std::uint64_t, std::size_t>> load(
      workers);  // Bytes, then groups, so that zeros spread too.
  for (InputGroup& group : groups) {
    const auto least = std::min_element(load.begin(), load.end());
    least->first += group.size_bytes;
    ++least->second;
    plan.workers[static_cast<std::size_t>(least - load.begin())].push_back(std::move(group));
  }
  return plan;
}

std::uint64_t count_instruments(const InputPlan& plan) {
  std::set<Instrument> instruments;
  for (const std::vector<InputGroup>& groups : plan.workers) {
    for (const InputGroup& group : groups) {
      for (const InputFile& file : group.files) {
        if (file.format == CaptureFormat::merged) return 0;
        if (file.format == CaptureFormat::raw) instruments.insert(file.instrument);
      }
    }
  }
  return instruments.size();
}

InputPlan plan_inputs(const std::vector<std::string>& paths, std::size_t workers) {
  std::vector<InputFile> files;
  files.reserve(paths.size());
  for (const std::string& path : paths)
    files.push_back(inspect_input(path));
  return plan_inputs(std::move(files), workers);
}

std::optional<std::string> overlap(const InputFile& ended, std::int64_t last_receive_ns,
                                   const InputFile& next) {
  if (!next.first_receive_ns || *next.first_receive_ns >= last_receive_ns) return std::nullopt;
  return fmt::format("{} begins at {} ns, before {} ended at {} ns: their events are not in order of time",
                     next.path, *next.first_receive_ns, ended.path, last_receive_ns);
}

}  // namespace market
