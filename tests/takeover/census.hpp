// SPDX-License-Identifier: Apache-2.0
// Who is there: the processes of one pipeline by the kernel's account, whatever the pipeline itself says.
#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "processes.hpp"

namespace sluice::test {

// Maps the segment of `pipeline`, whose name must be this test's alone: the machine may have others.
inline bool is_of(const std::string& pipeline, pid_t pid) {
  std::ifstream maps{"/proc/" + std::to_string(pid) + "/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("sluice:" + pipeline) != std::string::npos) return true;
  }
  return false;
}

inline bool is_master_of(const std::string& pipeline, pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/comm"};
  std::string name;
  std::getline(file, name);
  return name == "sluice-master" && is_alive(pid) && is_of(pipeline, pid);
}

template <class Wanted>
std::vector<pid_t> processes_that(Wanted&& wanted) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const pid_t pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    if (pid != 0 && wanted(pid)) found.push_back(pid);
  }
  return found;
}

// All but the calling process.
inline std::vector<pid_t> processes_of(const std::string& pipeline) {
  return processes_that([&](pid_t pid) { return pid != ::getpid() && is_of(pipeline, pid); });
}

// Looks for two masters at once as long as it lives. What a master has just forked looks like one for a
// moment.
class MasterCensus {
 public:
  explicit MasterCensus(std::string pipeline) : pipeline_{std::move(pipeline)} {}
  ~MasterCensus() {
    enough_ = true;
    thread_.join();
    EXPECT_GT(looks_, 0U);
    EXPECT_EQ(twice_, 0U) << "of " << looks_ << " looks";
  }
  MasterCensus(const MasterCensus&) = delete;
  MasterCensus& operator=(const MasterCensus&) = delete;

 private:
  void look() {
    while (!enough_) {
      const std::vector<pid_t> found =
          processes_that([this](pid_t pid) { return is_master_of(pipeline_, pid); });
      ++looks_;
      // Two that lived side by side would do so for long; one that dies, or that is to be a worker, does not.
      const auto still_are = [&] {
        return found.size() > 1 && is_master_of(pipeline_, found[0]) && is_master_of(pipeline_, found[1]);
      };
      if (still_are() && !eventually([&] { return !still_are(); }, 10s)) ++twice_;
      std::this_thread::sleep_for(2ms);
    }
  }

  std::string pipeline_;
  std::atomic<bool> enough_{false};
  std::uint64_t looks_ = 0;
  std::uint64_t twice_ = 0;
  std::thread thread_{[this] { look(); }};
};

}  // namespace sluice::test
