// SPDX-License-Identifier: Apache-2.0
#include "config_lint.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <linux/magic.h>
#include <string_view>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/ipc/segment.hpp>
#include <sluice/units.hpp>

#include "huge_page_pool.hpp"

namespace sluice::command {
namespace {

// The file system that the path lies in, or will: that of the nearest directory that there is.
std::optional<bool> in_memory(const std::string& path) {
  std::filesystem::path there = std::filesystem::absolute(path);
  struct statfs found {};
  while (::statfs(there.c_str(), &found) != 0) {
    if (!there.has_relative_path()) return std::nullopt;
    there = there.parent_path();
  }
  return found.f_type == TMPFS_MAGIC || found.f_type == RAMFS_MAGIC;
}

// What is free where the path will be, for this user.
std::optional<std::uint64_t> room_for(const std::string& path) {
  const std::filesystem::path directory = std::filesystem::absolute(path).parent_path();
  struct statfs found {};
  if (::statfs(directory.c_str(), &found) != 0 || found.f_blocks == 0) return std::nullopt;
  return static_cast<std::uint64_t>(found.f_bavail) * static_cast<std::uint64_t>(found.f_bsize);
}

// By the user, in whatever layer; a profile means it for others.
bool is_said(const Settings& settings, std::string_view key) {
  return settings.origin_of(key).layer > Origin::profile;
}

// For people.
std::string in_mib(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1U << 20U));
}

class Linter {
 public:
  Linter(const Settings& settings, const LintedMachine& machine)
      : settings_{settings}, machine_{machine}, values_{settings.values()} {}

  std::vector<LintFinding> findings() {
    look_at_checkpoints();
    look_at_what_waits_for_them();
    look_at_what_is_dropped();
    look_at_memory();
    look_at_the_watchdog();
    look_at_placement();
    std::stable_partition(found_.begin(), found_.end(), [](const LintFinding& each) { return each.refused; });
    return std::move(found_);
  }

 private:
  struct Said {
    std::string key;
    std::string value;
  };

  // Of all stages first, then of single ones.
  std::vector<Said> each(std::string_view key) const {
    std::vector<Said> all{{std::string{key}, settings_.value(key)}};
    const std::string end = "." + std::string{key};
    for (const SettingValue& value : values_) {
      if (value.key.starts_with("stage.") && value.key.ends_with(end))
        all.push_back({value.key, value.value});
    }
    return all;
  }
  std::string text(std::string_view key) const { return fmt::format("{}={}", key, settings_.value(key)); }
  void add(bool refused, std::string_view key, std::string what, std::string remedy) {
    const auto value = std::find_if(values_.begin(), values_.end(),
                                    [key](const SettingValue& each) { return each.key == key; });
    found_.push_back({refused, std::move(what), std::move(remedy),
                      value == values_.end() ? std::string{} : value->origin});
  }
  void warn(std::string_view key, std::string what, std::string remedy) {
    add(false, key, std::move(what), std::move(remedy));
  }
  // Those of `keys` that the user has set, for nothing.
  void warn_of_idle(std::initializer_list<std::string_view> keys, std::string_view why,
                    const std::string& remedy) {
    for (const std::string_view key : keys) {
      if (is_said(settings_, key)) warn(key, fmt::format("{} does nothing: {}", text(key), why), remedy);
    }
  }
  // The setting that says that something waits for checkpoints; nothing if none does.
  std::optional<std::string> waiting() const {
    for (const Said& said : each("outside.after")) {
      if (said.value == "checkpoint") return said.key;
    }
    return std::nullopt;
  }

  void look_at_checkpoints() {
    const std::string path = settings_.text("checkpoint.path");
    if (path.empty()) {
      warn_of_idle({"checkpoint.every", "checkpoint.idle", "checkpoint.keep", "checkpoint.sync"},
                   "no checkpoints are made", "set checkpoint.path to a directory for them");
      return;
    }
    if (path == settings_.text("segment.path")) {
      add(true, "checkpoint.path", text("checkpoint.path") + " is segment.path, too",
          "give the checkpoints a directory of their own");
    }
    if (machine_.checkpoints_in_memory) {
      warn("checkpoint.path", path + " lies in memory: checkpoints there are gone with the machine",
           "name a directory on a disk");
    }
  }

  void look_at_what_waits_for_them() {
    constexpr std::chrono::seconds kLong{10};
    const auto key = waiting();
    if (!key) return;
    const std::string said = *key + "=checkpoint";
    if (settings_.text("checkpoint.path").empty()) {
      add(true, *key, said + " waits for checkpoints, and none are made",
          "set checkpoint.path to a directory for them");
      return;
    }
    if (!settings_.flag("checkpoint.sync")) {
      warn("checkpoint.sync",
           "checkpoint.sync=no with " + said +
               ": a power cut may take what has left the pipeline, or was acknowledged, by then",
           "leave checkpoint.sync at yes, unless only the death of all processes counts");
    }
    if (settings_.duration("checkpoint.every") > kLong) {
      warn("checkpoint.every",
           fmt::format("{} with {}: each event and each acknowledgement waits that long, and the lanes must "
                       "hold what comes meanwhile",
                       text("checkpoint.every"), said),
           "make it shorter");
    }
    for (const Said& full : each("lane.full")) {
      if (full.value == "block") continue;
      warn(full.key,
           fmt::format("{}={} with {}: lanes fill until the next checkpoint, and events are {}", full.key,
                       full.value, said, full.value == "fail" ? "refused then" : "dropped then"),
           "leave lane.full at block, or make the lanes larger");
    }
  }

  void look_at_what_is_dropped() {
    for (const Said& full : each("lane.full")) {
      if (full.value != "drop_newest") continue;
      warn(full.key,
           fmt::format(
               "{}={}: no event is lost holds no more, and a source that acknowledges what it hands on "
               "(tcp_source with `acknowledge`, http_source, a NATS work queue) is refused before such a "
               "stage",
               full.key, full.value),
           "leave lane.full at block where each event counts");
    }
  }

  void look_at_memory() {
    const std::string huge = settings_.choice("memory.huge");
    const bool named = !settings_.text("segment.path").empty();
    if (named && (huge == "2M" || huge == "1G")) {
      add(true, "memory.huge",
          text("memory.huge") + " with segment.path: a file that outlives the pipeline has no huge pages",
          "set memory.huge=auto, or leave segment.path away");
    }
    if (named && machine_.segment_on_disk) {
      warn("segment.path",
           text("segment.path") +
               " lies on a disk: it lasts no longer than memory does, and is written out besides",
           "name a file in /dev/shm; for the death of the machine there is checkpoint.path");
    }
    if (!named && !machine_.no_huge_pages.empty())
      warn("memory.huge", text("memory.huge") + ": " + machine_.no_huge_pages, machine_.huge_pages_remedy);
    if (machine_.segment_room && *machine_.segment_room < machine_.pipeline_bytes) {
      add(true, "segment.path",
          fmt::format("{}: the pipeline takes {}, and {} are free there", text("segment.path"),
                      in_mib(machine_.pipeline_bytes), in_mib(*machine_.segment_room)),
          "make room there (of /dev/shm: mount -o remount,size=...), or name a file elsewhere");
    }
    const bool lockable = !machine_.lockable_bytes || (machine_.pipeline_bytes != 0 &&
                                                       machine_.pipeline_bytes <= *machine_.lockable_bytes);
    if (settings_.flag("memory.lock") && !lockable) {
      warn("memory.lock",
           fmt::format("memory.lock=yes, and this user may lock {}: a larger segment stays as it is",
                       format_bytes(*machine_.lockable_bytes)),
           "raise the limit of locked memory (ulimit -l, RLIMIT_MEMLOCK)");
    }
  }

  void look_at_the_watchdog() {
    const auto tick = settings_.duration("watchdog.tick");
    for (const Said& deadline : each("watchdog.deadline")) {
      const auto value = parse_duration(deadline.value);
      if (value.ok() && value.value < tick) {
        warn(deadline.key,
             fmt::format("{}={} is shorter than {}: the watchdog looks more often than that says",
                         deadline.key, deadline.value, text("watchdog.tick")),
             "lower watchdog.tick, or allow more time");
      }
    }
    if (settings_.flag("watchdog.drill")) {
      warn("watchdog.drill", "watchdog.drill=yes: a stray SIGUSR2 makes workers hang",
           "leave it at no where nobody rehearses");
    }
    if (settings_.duration("restart.backoff") > settings_.duration("restart.backoff_max")) {
      warn("restart.backoff",
           fmt::format("{} is longer than {}, which holds", text("restart.backoff"),
                       text("restart.backoff_max")),
           "raise restart.backoff_max with it");
    }
    if (settings_.count("poison.attempts") == 0 && is_said(settings_, "oversize") &&
        settings_.choice("oversize") == "dead_letter") {
      warn("oversize", "oversize=dead_letter does nothing: poison.attempts=0 makes no dead letters",
           "set poison.attempts to 1 or more");
    }
  }

  void look_at_placement() {
    if (settings_.choice("placement.policy") == "none") {
      warn_of_idle({"placement.reserve", "placement.isolated", "placement.smt", "placement.verify"},
                   "placement.policy=none gives no worker a place", "set placement.policy=auto");
    }
    if (settings_.choice("wait.strategy") == "spin") {
      warn_of_idle({"wait.spin", "wait.yield"}, "wait.strategy=spin polls for ever",
                   "leave it away, or set wait.strategy=sleep");
    } else if (settings_.choice("wait.strategy") == "yield") {
      warn_of_idle({"wait.yield"}, "wait.strategy=yield never sleeps", "leave it away");
    }
  }

  const Settings& settings_;
  const LintedMachine& machine_;
  std::vector<SettingValue> values_;
  std::vector<LintFinding> found_;
};

}  // namespace

LintedMachine machine_for(const Settings& settings, std::uint64_t pipeline_bytes) {
  LintedMachine machine;
  const std::string checkpoints = settings.text("checkpoint.path");
  const std::string segment = settings.text("segment.path");
  machine.checkpoints_in_memory = !checkpoints.empty() && in_memory(checkpoints).value_or(false);
  machine.segment_on_disk = !segment.empty() && !in_memory(segment).value_or(true);
  rlimit limit{};
  if (::geteuid() != 0 && ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    machine.lockable_bytes = limit.rlim_cur;
  machine.pipeline_bytes = pipeline_bytes;
  if (pipeline_bytes == 0) return machine;
  std::error_code none;
  if (!segment.empty() && !std::filesystem::exists(segment, none)) machine.segment_room = room_for(segment);
  const std::string huge = settings.choice("memory.huge");
  if (huge != "2M" && huge != "1G") return machine;
  const std::size_t size = huge == "2M" ? 0 : 1;
  const std::uint64_t page = ipc::kHugePageBytes[size];
  if (const auto lack = ipc::lack_of_huge_pages(size, pipeline_bytes / page * page);
      lack && pipeline_bytes >= page) {
    machine.no_huge_pages = lack->why;
    machine.huge_pages_remedy = lack->remedy;
  }
  return machine;
}

std::vector<LintFinding> lint_findings(const Settings& settings, const LintedMachine& machine) {
  return Linter{settings, machine}.findings();
}

}  // namespace sluice::command
