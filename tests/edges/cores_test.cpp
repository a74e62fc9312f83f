// SPDX-License-Identifier: Apache-2.0
// Core dumps: the segment's lanes and states are not in them.

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sluice/detail/sanitizers.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

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

// Crashes at the record that is in the core then.
struct Crasher {
  void operator()(Bytes record) const {
    if (record.text().starts_with("needle")) std::abort();
  }
};

// As the host, in a directory of its own, where the cores go.
int crash_once(const std::filesystem::path& directory, const std::string& needle) {
  std::filesystem::current_path(directory);
  const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &all) != 0) return 77;
  Settings settings = test_settings();
  settings.set("lane.bytes", "16MiB");
  settings.set("poison.attempts", "1");
  settings.set("report.path", (directory / "reports").string());
  Pipeline pipeline{"crashed"};
  pipeline.inlet<Bytes>("in").to<Crasher>("crash");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  std::ignore = in.push(Bytes{"hay"});
  std::ignore = in.push(Bytes{needle});
  std::ignore = in.push(Bytes{"hay"});
  in.close();
  return engine.wait_for(kDeadline) && engine.stats().dead_letters() == 1 ? 0 : 1;
}

// The copies of events in a core, each as far as it goes: docs/reliability.md says how they lie there.
std::vector<std::string> events_in_hand(const std::filesystem::path& core) {
  std::ifstream file{core, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  const std::string mark{"sluice event in hand\0\0\0\0", 24};
  std::vector<std::string> found;
  for (std::size_t at = bytes.find(mark); at != std::string::npos; at = bytes.find(mark, at + 1)) {
    std::uint64_t words[4];  // Lane, position, bytes of the event, and of those how many are there.
    if (at + mark.size() + sizeof(words) > bytes.size()) break;
    std::memcpy(words, bytes.data() + at + mark.size(), sizeof(words));
    if (words[3] <= words[2]) found.push_back(bytes.substr(at + mark.size() + sizeof(words), words[3]));
  }
  return found;
}

TEST_F(Core, HoldsTheEventInTheHandler) {
  std::string pattern;
  std::getline(std::ifstream{"/proc/sys/kernel/core_pattern"}, pattern);
  constexpr bool kSanitized = SLUICE_ADDRESS_SANITIZER + SLUICE_THREAD_SANITIZER != 0;
  if (pattern.empty() || pattern.find_first_of("|/%") != std::string::npos || kSanitized) {
    GTEST_SKIP() << "cores go elsewhere here: " << pattern;
  }
  std::string name = (std::filesystem::temp_directory_path() / "sluice-cores-XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(name.data());
  const std::string needle = "needle" + std::string(1000, 'x') + "end";
  const pid_t host = ::fork();
  if (host == 0) ::_exit(crash_once(directory, needle));
  int status = 0;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "cores are limited here";
  EXPECT_EQ(status, 0);
  int cores = 0;
  for (const auto& entry : std::filesystem::directory_iterator{directory}) {
    if (!entry.path().filename().string().starts_with("core")) continue;
    ++cores;
    EXPECT_LT(entry.file_size(), 12U << 20U) << "less than a lane";
    EXPECT_THAT(events_in_hand(entry.path()), testing::Contains(needle));
  }
  EXPECT_EQ(cores, 1);
  clear_away(directory);
}

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
