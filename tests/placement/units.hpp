// SPDX-License-Identifier: Apache-2.0
// What the tests of placement share: the units of this machine and those of a process, and a cpuset of their own.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <optional>
#include <sched.h>
#include <sstream>
#include <string>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/masks.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

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

inline WorkerStats echo_of(const Engine& engine) {
  return worker_of(engine, "echo/0");
}

inline std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A directory of its own for what is told of deaths and places.
struct Reports {
  Reports() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
  ~Reports() { clear_away(path); }
  std::string deaths() const { return text_of_file(std::filesystem::path{path} / "deaths.jsonl"); }
  std::string path = (std::filesystem::temp_directory_path() / "sluice-places-XXXXXX").string();
};

// From now on that call fails in this process and its children; false where no filter of system calls can be had.
inline bool deny_call(long call, int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
inline constexpr int kNoFilterHere = 5;

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
