// SPDX-License-Identifier: Apache-2.0
// Core dumps: the segment's lanes and states are not in them.

#include <sstream>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

struct Dumped {
  std::size_t mappings = 0;
  std::size_t kib = 0;
};

// What a core dump of the process would hold of the segment's mappings.
Dumped dumped_of(pid_t pid, const std::string& name) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/smaps"};
  Dumped dumped;
  bool segment = false;
  std::size_t kib = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find('-') != std::string::npos && line.find("VmFlags") != 0 && line.find(':') > line.find(' '))
      segment = line.find("sluice:" + name) != std::string::npos;
    std::istringstream words{line};
    std::string key;
    words >> key;
    if (key == "Size:") words >> kib;
    if (key != "VmFlags:" || !segment || (" " + line + " ").find(" dd ") != std::string::npos) continue;
    ++dumped.mappings;
    dumped.kib += kib;
  }
  return dumped;
}

class Core : public WithProcesses {
 protected:
  Dumped dumped_of_worker(const char* choice) {
    Settings settings = test_settings();
    settings.set("state.bytes", "8MiB");
    settings.set("lane.bytes", "4MiB");
    if (choice != nullptr) settings.set("core.segment", choice);
    Engine engine{counting_pipeline(2, "cored"), settings};
    engine.start();
    const Dumped host = dumped_of(::getpid(), "cored");
    const Dumped worker = dumped_of(worker_of(engine, "count/1").pid, "cored");
    EXPECT_EQ(host.kib, worker.kib);
    return worker;
  }
};

TEST_F(Core, HoldsControlAndNeitherLanesNorState) {
  const Dumped dumped = dumped_of_worker(nullptr);
  EXPECT_GE(dumped.mappings, 3U)
      << "the host's, the master's with the first worker's, the second worker's control";
  EXPECT_LT(dumped.kib, 1024U) << dumped.mappings;
}

TEST_F(Core, HoldsTheWholeSegmentWhereThatIsAskedFor) {
  EXPECT_GT(dumped_of_worker("all").kib, 16U * 1024U);
}

}  // namespace
}  // namespace sluice::test
