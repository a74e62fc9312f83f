// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <sluice/detail/cgroup.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/quota.hpp>

namespace sluice::pinning {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> content_of(const fs::path& path) {
  std::ifstream file{path};
  if (!file) return std::nullopt;  // Usual: the root group has no quota, and a controller may be off.
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

[[noreturn]] void refuse(const fs::path& path, const std::string& text) {
  throw Error{{.tried = "read the CPU quota from",
               .object = path.string(),
               .why = "its content makes no sense: \"" + text + "\"",
               .remedy = {}}};
}

double microseconds(const fs::path& path, const std::string& text, std::string_view number) {
  long long value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size()) refuse(path, text);
  return static_cast<double>(value);
}

std::optional<double> quota_2(const fs::path& group) {
  const fs::path path = group / "cpu.max";
  const auto text = content_of(path);
  if (!text) return std::nullopt;
  std::istringstream words{*text};
  std::string quota, period;
  words >> quota >> period;
  if (quota == "max") return std::nullopt;
  const double quota_us = microseconds(path, *text, quota);
  const double period_us = microseconds(path, *text, period);
  if (quota_us <= 0 || period_us <= 0) refuse(path, *text);
  return quota_us / period_us;
}

std::optional<double> quota_1(const fs::path& group) {
  const fs::path quota_path = group / "cpu.cfs_quota_us";
  const fs::path period_path = group / "cpu.cfs_period_us";
  const auto quota_text = content_of(quota_path);
  const auto period_text = content_of(period_path);
  if (!quota_text || !period_text) return std::nullopt;
  std::string quota, period;
  std::istringstream{*quota_text} >> quota;
  std::istringstream{*period_text} >> period;
  const double quota_us = microseconds(quota_path, *quota_text, quota);
  if (quota_us < 0) return std::nullopt;  // -1 means that there is no limit.
  const double period_us = microseconds(period_path, *period_text, period);
  if (quota_us == 0) refuse(quota_path, *quota_text);
  if (period_us <= 0) refuse(period_path, *period_text);
  return quota_us / period_us;
}

void keep_tightest(std::optional<double>& tightest, std::optional<double> quota) {
  if (quota && (!tightest || *quota < *tightest)) tightest = quota;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> tightest;
  for (const detail::Cgroup& group : detail::cgroups_of_this_process("cpu", root))
    keep_tightest(tightest, group.version_2 ? quota_2(group.directory) : quota_1(group.directory));
  return tightest;
}

unsigned threads_that_run(const ThreadsAsked& asked, std::optional<double> quota_cores) noexcept {
  const double own = asked.by_process;
  const double all = std::max(own, static_cast<double>(asked.by_all));
  double most = std::min(own, static_cast<double>(asked.units_of_process));
  if (quota_cores && all > 0) most = std::min(most, *quota_cores * own / all);
  return most < 1 ? 1 : static_cast<unsigned>(most);
}

}  // namespace sluice::pinning
