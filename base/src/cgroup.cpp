// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

#include <sluice/detail/cgroup.hpp>
#include <sluice/detail/plain_text.hpp>

namespace sluice::detail {
namespace {

struct Mount {
  std::filesystem::path cgroup_root;  // Which control group of the hierarchy stands at the mount point.
  std::filesystem::path point;
  bool version_2 = false;
};

struct Membership {
  std::filesystem::path cgroup;  // As /proc/self/cgroup writes it, from the root of the hierarchy.
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

std::vector<Mount> mounts_of(std::string_view controller, const std::filesystem::path& mountinfo) {
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
    if (version_2 || (type == "cgroup" && has_item(options, controller))) {
      mounts.push_back({unescape(cgroup_root), unescape(point), version_2});
    }
  }
  return mounts;
}

std::vector<Membership> memberships_of(std::string_view controller,
                                       const std::filesystem::path& self_cgroup) {
  std::vector<Membership> memberships;
  std::ifstream file{self_cgroup};
  for (std::string line; std::getline(file, line);) {
    const auto controllers = line.find(':');
    if (controllers == std::string::npos) continue;
    const auto path = line.find(':', controllers + 1);
    if (path == std::string::npos) continue;
    const std::string_view list = std::string_view{line}.substr(controllers + 1, path - controllers - 1);
    const bool version_2 = list.empty() && line.starts_with("0:");
    if (version_2 || has_item(list, controller)) memberships.push_back({line.substr(path + 1), version_2});
  }
  return memberships;
}

// The control group's path below the mount point. A group outside the mounted part (a container that sees its
// host's paths, or "/.." in a cgroup namespace) cannot be named there; the mount point itself is then the
// nearest group that is known to hold this process.
std::filesystem::path below_mount(const Mount& mount, const Membership& membership) {
  std::filesystem::path below = membership.cgroup.lexically_relative(mount.cgroup_root);
  if (below.empty() || below == "." || *below.begin() == "..") return {};
  return below;
}

}  // namespace

std::vector<Cgroup> cgroups_of_this_process(std::string_view controller, const std::filesystem::path& root) {
  const auto mounts = mounts_of(controller, root / "proc/self/mountinfo");
  std::vector<Cgroup> groups;
  for (const Membership& membership : memberships_of(controller, root / "proc/self/cgroup")) {
    for (const Mount& mount : mounts) {
      if (mount.version_2 != membership.version_2) continue;
      std::filesystem::path directory = root / mount.point.relative_path();
      groups.push_back({directory, mount.version_2});
      for (const std::filesystem::path& name : below_mount(mount, membership)) {
        directory /= name;
        groups.push_back({directory, mount.version_2});
      }
    }
  }
  return groups;
}

std::optional<std::uint64_t> number_in(const std::filesystem::path& file) {
  std::ifstream stream = words_of_file(file);
  std::uint64_t number = 0;
  if (stream >> number) return number;
  return std::nullopt;
}

}  // namespace sluice::detail
