// SPDX-License-Identifier: Apache-2.0
// Where measured costs are kept, and how they are written.
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/printable.hpp>

namespace sluice::pinning {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHead = "sluice costs of a line from unit to unit, 1";
constexpr std::string_view kLast = "end";
constexpr std::size_t kMostUnits = 2048;
constexpr std::size_t kMostBytes = std::size_t{128} << 20;

std::string first_line_with(const fs::path& path, std::string_view begin) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(begin)) return line;
  }
  return {};
}

// FNV-1a, by Fowler, Noll and Vo: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// What this user or root has written and nobody else may; nothing for anything else, and why: empty if there is no file.
std::string trusted_text(const fs::path& path, std::string& why_not) {
  const detail::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) why_not = errno_text();
    return {};
  }
  if (!S_ISREG(status.st_mode)) why_not = "it is no file";
  if ((status.st_uid != 0 && status.st_uid != ::geteuid()) || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    why_not = "others may write it";
  if (static_cast<std::size_t>(status.st_size) > kMostBytes) why_not = "it is too large";
  if (!why_not.empty()) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t bytes = ::pread(file.get(), text.data(), text.size(), 0);
  if (bytes < 0) why_not = errno_text();
  text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  return text;
}

// Whole or not at all, under a name of its own until then.
void write_whole(const fs::path& path, const std::string& text) {
  std::string name = path.string() + ".XXXXXX";
  const detail::Descriptor file{::mkostemp(name.data(), O_CLOEXEC)};
  const bool written = file && ::write(file.get(), text.data(), text.size()) == std::ssize(text) &&
                       ::fchmod(file.get(), 0644) == 0 && ::rename(name.c_str(), path.c_str()) == 0;
  if (written) return;
  const std::string why = errno_text();
  if (file) ::unlink(name.c_str());
  throw Error{
      {"keep the measured costs in", path.string(), why, "set XDG_CACHE_HOME to a directory of yours"}};
}

}  // namespace

std::string calibration_key(const Topology& topology, const fs::path& root) {
  std::string all = first_line_with(root / "etc/machine-id", "");
  all.append("\n").append(first_line_with(root / "proc/cpuinfo", "model name"));
  for (const ProcessingUnit& unit : topology.units) {
    all.append(fmt::format("\n{} {} {} {} {} {} {}", unit.os_index, unit.core, unit.l2, unit.l3,
                           unit.numa_node, unit.package, unit.efficiency));
  }
  return fmt::format("{:016x}", hash_of(all));
}

std::string to_file(const MeasuredCosts& costs, std::string_view key) {
  std::string text = fmt::format("{}\nmachine {}\nsteady {}\n", kHead, key, costs.steady ? "yes" : "no");
  const std::size_t n = costs.units.size();
  for (std::size_t from = 0; from < n; ++from) {
    text.append(fmt::format("unit {}", costs.units[from]));
    for (std::size_t to = 0; to < n; ++to)
      text.append(fmt::format(" {:.1f}", costs.nanoseconds[from * n + to]));
    text.append("\n");
  }
  return text.append(kLast).append("\n");
}

std::optional<MeasuredCosts> from_file(std::string_view text, std::string_view key) {
  std::istringstream lines = sluice::detail::words_of(std::string{text});
  std::string head, word, machine, steady;
  std::getline(lines, head);
  lines >> word >> machine >> word >> steady;
  if (head != kHead || machine != key || (steady != "yes" && steady != "no")) return std::nullopt;
  MeasuredCosts costs;
  costs.steady = steady == "yes";
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line != kLast) {
    std::istringstream row = sluice::detail::words_of(line);
    unsigned unit = 0;
    if (!(row >> word >> unit) || word != "unit" || costs.units.size() == kMostUnits) return std::nullopt;
    costs.units.push_back(unit);
    for (double cost = 0; row >> cost;)
      costs.nanoseconds.push_back(cost);
  }
  const bool square = costs.nanoseconds.size() == costs.units.size() * costs.units.size();
  const auto makes_sense = [](double cost) { return cost >= 0 && cost < 1e9; };
  for (const double cost : costs.nanoseconds) {
    if (!makes_sense(cost)) return std::nullopt;
  }
  if (line != kLast || !square || costs.units.size() < 2) return std::nullopt;
  return costs;
}

std::vector<fs::path> calibration_files(std::string_view key) {
  const std::string name = fmt::format("costs-{}", key);
  std::vector<fs::path> files;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') {
    files.push_back(fs::path{cache} / "sluice" / name);
  } else if (home != nullptr && *home == '/') {
    files.push_back(fs::path{home} / ".cache/sluice" / name);
  }
  files.push_back(fs::path{"/var/cache/sluice"} / name);
  return files;
}

MeasuredCosts kept_costs(const Topology& topology) {
  const std::string key = calibration_key(topology);
  std::string passed_over;
  for (const fs::path& path : calibration_files(key)) {
    std::string why_not;
    const std::string text = trusted_text(path, why_not);
    if (auto costs = from_file(text, key)) {
      costs->passed_over = std::move(passed_over);
      return std::move(*costs);
    }
    std::error_code error;
    if (why_not.empty() && fs::exists(path, error)) why_not = "it is damaged";
    if (!why_not.empty() && passed_over.empty())
      passed_over = fmt::format("{}: {}", printable(path.string()), why_not);
  }
  MeasuredCosts none;
  none.passed_over = std::move(passed_over);
  return none;
}

fs::path keep_costs(const MeasuredCosts& costs, const Topology& topology) {
  const std::string key = calibration_key(topology);
  const std::vector<fs::path> files = calibration_files(key);
  // What root measures is for all, unless root says otherwise.
  const bool for_all = ::geteuid() == 0 && std::getenv("XDG_CACHE_HOME") == nullptr;
  const fs::path& path = for_all ? files.back() : files.front();
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  write_whole(path, to_file(costs, key));
  return path;
}

}  // namespace sluice::pinning
