// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/pinning/quota.hpp>

namespace sluice::pinning {
namespace {

namespace fs = std::filesystem;

struct Mount {
  fs::path cgroup_root;  // Which control group of the hierarchy stands at the mount point.
  fs::path point;
  bool version_2 = false;
};

struct Membership {
  fs::path cgroup;  // As /proc/self/cgroup writes it, from the root of the hierarchy.
  bool version_2 = false;
};

bool has_item(std::string_view comma_list, std::string_view item) {
  while (!comma_list.empty()) {
    const auto comma = comma_list.find(',');
    if (comma_list.substr(0, comma) == item) return true;
    if (comma == std::string_view::npos) return false;
    comma_list.remove_prefix(comma + 1);
  }
  return false;
}

// mountinfo writes blanks, tabs, line ends and backslashes as \ooo (proc_pid_mountinfo(5)).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 1] + 3, code, 8).ptr == &text[i + 1] + 3) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<Mount> cpu_mounts(const fs::path& mountinfo) {
  std::vector<Mount> mounts;
  std::ifstream file{mountinfo};
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields{line};
    std::string id, parent, device, cgroup_root, point, skipped, type, source, options;
    fields >> id >> parent >> device >> cgroup_root >> point;
    while (fields >> skipped && skipped != "-") {
    }
    fields >> type >> source >> options;
    const bool version_2 = type == "cgroup2";
    if (version_2 || (type == "cgroup" && has_item(options, "cpu"))) {
      mounts.push_back({unescape(cgroup_root), unescape(point), version_2});
    }
  }
  return mounts;
}

std::vector<Membership> cpu_memberships(const fs::path& self_cgroup) {
  std::vector<Membership> memberships;
  std::ifstream file{self_cgroup};
  for (std::string line; std::getline(file, line);) {
    const auto controllers = line.find(':');
    if (controllers == std::string::npos) continue;
    const auto path = line.find(':', controllers + 1);
    if (path == std::string::npos) continue;
    const std::string_view list = std::string_view{line}.substr(controllers + 1, path - controllers - 1);
    const bool version_2 = list.empty() && line.starts_with("0:");
    if (version_2 || has_item(list, "cpu")) memberships.push_back({line.substr(path + 1), version_2});
  }
  return memberships;
}

// The control group's path below the mount point. A group outside the mounted part (a container that sees its
// host's paths, or "/.." in a cgroup namespace) cannot be named there; the mount point itself is then the
// nearest group that is known to hold this process.
fs::path below_mount(const Mount& mount, const Membership& membership) {
  fs::path below = membership.cgroup.lexically_relative(mount.cgroup_root);
  if (below.empty() || below == "." || *below.begin() == "..") return {};
  return below;
}

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
  const auto mounts = cpu_mounts(root / "proc/self/mountinfo");
  const auto memberships = cpu_memberships(root / "proc/self/cgroup");
  std::optional<double> tightest;
  for (const Membership& membership : memberships) {
    for (const Mount& mount : mounts) {
      if (mount.version_2 != membership.version_2) continue;
      const auto read = mount.version_2 ? quota_2 : quota_1;
      fs::path group = root / mount.point.relative_path();
      keep_tightest(tightest, read(group));
      for (const fs::path& name : below_mount(mount, membership)) {
        group /= name;
        keep_tightest(tightest, read(group));
      }
    }
  }
  return tightest;
}

}  // namespace sluice::pinning
