// SPDX-License-Identifier: Apache-2.0
// A control group with a CPU quota, for as long as a test needs it; of version 1 or 2, whichever there is.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

class CpuCgroup {
 public:
  explicit CpuCgroup(const std::string& name) {
    for (const std::string root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"}) {
      std::string path = root;
      path += "/" + name + "-" + std::to_string(::getpid());
      if (::mkdir(path.c_str(), 0700) != 0) {
        why_not_ += root + ": " + std::strerror(errno) + "; ";
        continue;
      }
      path_ = path;
      if (::access((path + "/cpu.cfs_quota_us").c_str(), W_OK) == 0) return;
      is_v2_ = true;
      if (::access((path + "/cpu.max").c_str(), W_OK) == 0) return;
      why_not_ += root + ": its children have no cpu controller; ";
      ::rmdir(path.c_str());
      path_.clear();
      is_v2_ = false;
    }
  }
  ~CpuCgroup() {
    // Its processes are gone, or leave with those that they belong to.
    for (int i = 0; !path_.empty() && i < 1000 && ::rmdir(path_.c_str()) != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  CpuCgroup(const CpuCgroup&) = delete;
  CpuCgroup& operator=(const CpuCgroup&) = delete;

  bool ok() const noexcept { return !path_.empty(); }
  const std::string& why_not() const noexcept { return why_not_; }
  void set_quota(std::chrono::microseconds quota, std::chrono::microseconds period) const {
    if (is_v2_) {
      write("cpu.max", std::to_string(quota.count()) + " " + std::to_string(period.count()));
    } else {
      write("cpu.cfs_period_us", std::to_string(period.count()));
      write("cpu.cfs_quota_us", std::to_string(quota.count()));
    }
  }
  bool take_in(pid_t pid) const { return write("cgroup.procs", std::to_string(pid)); }

 private:
  bool write(const char* file, const std::string& text) const {
    std::ofstream out{path_ + "/" + file};
    out << text << std::flush;
    return out.good();
  }

  std::string path_;
  std::string why_not_;
  bool is_v2_ = false;
};

}  // namespace sluice::test
