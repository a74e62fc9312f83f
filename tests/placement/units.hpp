// SPDX-License-Identifier: Apache-2.0
// What the tests of placement share: the units of this machine and those of a process, and a cpuset of their own.
#pragma once

#include <fstream>
#include <optional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/masks.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {

using pinning::CpuSet;

inline CpuSet units_of(pid_t pid) {
  return pinning::current_units(pid);
}

// Whether the kernel took it.
inline bool set_units(pid_t pid, const CpuSet& units) {
  return pinning::write_mask(pid, pinning::mask_of(units)) == 0;
}

inline CpuSet grantable_units() {
  pinning::Mask units{};
  EXPECT_EQ(pinning::read_grantable(units), 0);
  return pinning::set_of(units);
}

// Units that a process which belongs to `place` may be moved to; empty where there is but one.
inline CpuSet other_units(const CpuSet& place) {
  const CpuSet all = grantable_units();
  if (all.count() < 2) return {};
  return all == place ? CpuSet{all.to_vector().front()} : all;
}

inline Settings placed_settings(const std::string& verify = "20ms") {
  Settings settings = pinned_settings();
  settings.set("placement.verify", verify);
  return settings;
}

inline Pipeline echo_pipeline(const std::string& name = "placed") {
  Pipeline pipeline{name};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  return pipeline;
}

// A cpuset of this process's own, with all units at first. Where none is to be had (no root, no version 1), false.
class OwnCpuset {
 public:
  OwnCpuset() = default;
  OwnCpuset(const OwnCpuset&) = delete;
  OwnCpuset& operator=(const OwnCpuset&) = delete;

  // Call it in a child process, which then has mounts of its own.
  bool enter(const std::string& parent) {
    directory_ = parent + "/own-" + std::to_string(::getpid());
    return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", parent.c_str(), "cgroup", 0, "cpuset") == 0 && copy("cpuset.cpus", parent) &&
           copy("cpuset.mems", parent) && write("cgroup.procs", std::to_string(::getpid()));
  }
  // Out of it again, and it is gone; all other processes must be.
  void leave(const std::string& parent) {
    std::ofstream{parent + "/cgroup.procs"} << ::getpid();
    ::rmdir(directory_.c_str());
    ::umount2(parent.c_str(), MNT_DETACH);
  }
  bool set_units(const CpuSet& units) { return write("cpuset.cpus", units.to_string()); }

 private:
  bool copy(const std::string& name, const std::string& parent) {
    ::mkdir(directory_.c_str(), 0755);
    std::string text;
    std::ifstream file{parent + "/" + name};
    std::getline(file, text);
    return write(name, text);
  }
  bool write(const std::string& name, const std::string& text) {
    std::ofstream file{directory_ + "/" + name};
    file << text << std::flush;
    return static_cast<bool>(file);
  }

  std::string directory_;
};

}  // namespace sluice::test
