// SPDX-License-Identifier: Apache-2.0
// Limits of the machine: an Error before anything is made, which names the limit, what is needed and what there is.

#include <regex>
#include <sys/resource.h>

#include <sluice/detail/cgroup.hpp>

#include "../connect/small_disk.hpp"
#include "child_status.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Pipeline echoing(unsigned workers = 1) {
  Pipeline pipeline{"limited"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = workers}).outlet("out");
  return pipeline;
}

// What a start says in a child of this process that has less of something; the empty string when it starts.
template <class Lower>
std::string start_with_less(Lower&& lower, unsigned workers = 1, const Settings& settings = test_settings()) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    lower();
    const std::string said = error_of([workers, &settings] {
      Engine engine{echoing(workers), settings};
      engine.start();
    });
    ::_exit(::write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string said;
  char text[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], text, sizeof(text))) > 0;)
    said.append(text, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  return said;
}

auto limit(int what, rlim_t most) {
  return [what, most] {
    const rlimit value{most, most};
    if (::setrlimit(static_cast<__rlimit_resource_t>(what), &value) != 0) ::_exit(2);
  };
}

// Not even a page that is only read has room there.
TEST(Limit, OfAFileSystemIsAnErrorAndWhoLooksAtTheEngineThenLives) {
  constexpr int kNotAllowed = 77;
  const std::string place = testing::TempDir() + "sluice_limit_" + std::to_string(::getpid());
  const int status = status_in_child([&place] {
    const SmallDisk disk{place, "4k"};
    if (!disk.is_there()) return kNotAllowed;
    Settings settings = test_settings();
    settings.set("segment.path", place + "/segment");
    settings.set("report.path", place + "-reports");
    Engine engine{echoing(), settings};
    const std::string said = error_of([&engine] { engine.start(); });
    const bool looked = engine.stats().stages.size() == 1;
    return looked && said.find("No space left") != std::string::npos ? 0 : 1;
  });
  clear_away(place);
  clear_away(place + "-reports");
  if (status == kNotAllowed) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(status, 0);
}

TEST(Limit, OfFileSizesIsToldBeforeTheKernelKills) {
  EXPECT_THAT(start_with_less(limit(RLIMIT_FSIZE, 1 << 20)),
              AllOf(HasSubstr("no file of more than 1048576"), HasSubstr("ulimit -f")));
}

// By the constructor: a program says by its status that no further start is of use.
TEST(Limit, OfFileSizesIsToldBeforeTheStartOfASegmentInAFile) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("sluice-limited-" + std::to_string(::getpid()));
  std::filesystem::create_directory(directory);
  Settings settings = test_settings();
  settings.set("segment.path", (directory / "segment").string());
  const auto construct = [&settings] {
    limit(RLIMIT_FSIZE, 1 << 20)();
    return error_of([&settings] {
             const Engine engine{echoing(), settings};
           }).find("no file of more than 1048576") == std::string::npos
               ? 1
               : 0;
  };
  EXPECT_EQ(status_in_child(construct), 0);
  EXPECT_FALSE(std::filesystem::exists(directory / "segment"));
  clear_away(directory);
}

TEST(Limit, OfAddressesIsTold) {
  Settings settings = test_settings();
  settings.set("state.bytes", "256MiB");
  const auto little_more = [] {
    std::uint64_t pages = 0;
    std::ifstream{"/proc/self/statm"} >> pages;
    limit(RLIMIT_AS, pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + (64 << 20))();
  };
  EXPECT_THAT(start_with_less(little_more, 1, settings),
              AllOf(HasSubstr("reserve addresses"), HasSubstr("MiB in all"), HasSubstr("ulimit -v")));
}

TEST(Limit, OfOpenFilesIsToldWithWhatIsNeeded) {
  EXPECT_THAT(start_with_less(limit(RLIMIT_NOFILE, 60), 40),
              AllOf(HasSubstr("open files"), HasSubstr("may have 60"), HasSubstr("ulimit -n")));
}

// Joins a group below this process's own; the parent takes the group away again.
class SmallGroup {
 public:
  SmallGroup(const std::string& controller, const std::string& file_1, const std::string& file_2) {
    std::error_code error;
    // The deepest group of each hierarchy stands last; not every hierarchy has the controller.
    for (const detail::Cgroup& each : detail::cgroups_of_this_process(controller)) {
      const std::filesystem::path own = each.directory / ("sluice-limit-" + std::to_string(::getpid()));
      const std::string limit = each.version_2 ? file_2 : file_1;
      if (!std::filesystem::create_directory(own, error)) continue;
      if (!std::filesystem::exists(own / limit, error)) {
        std::filesystem::remove(own, error);
        continue;
      }
      if (made_) std::filesystem::remove(own_, error);
      made_ = true;
      own_ = own;
      limit_ = limit;
    }
  }
  ~SmallGroup() {
    std::error_code error;
    if (!made_) return;
    eventually([&] { return std::filesystem::remove(own_, error) || !std::filesystem::exists(own_); });
  }
  bool made() const { return made_; }
  std::uint64_t now() const { return detail::number_in(own_ / "pids.current").value_or(0); }
  auto join(std::uint64_t most) const {
    return [this, most] {
      std::ofstream{own_ / limit_} << most << std::flush;
      std::ofstream group{own_ / "cgroup.procs"};
      if (!(group << ::getpid() << std::flush)) ::_exit(2);
    };
  }

 private:
  std::filesystem::path own_;
  std::string limit_;
  bool made_ = false;
};

TEST(Limit, OfAMemoryCgroupIsToldBeforeTheKernelKills) {
  const SmallGroup group{"memory", "memory.limit_in_bytes", "memory.max"};
  if (!group.made()) GTEST_SKIP() << "no memory cgroup can be made here";
  EXPECT_THAT(
      start_with_less(group.join(std::uint64_t{4} << 20), 8),
      AllOf(HasSubstr("memory limit of the control group"), HasSubstr("sluice-limit-"), HasSubstr("MiB")));
}

TEST(Limit, OfProcessesInACgroupIsTold) {
  const SmallGroup group{"pids", "pids.max", "pids.max"};
  if (!group.made()) GTEST_SKIP() << "no cgroup of processes can be made here";
  EXPECT_THAT(start_with_less(group.join(8), 8),
              AllOf(HasSubstr("it takes 22 processes"), HasSubstr("of the 8 that it may have")));
}

// As many as there are, with one that is on its way out: no fewer are asked for, and no more.
TEST(Limit, OfProcessesIsWhatAPipelineHas) {
  const SmallGroup group{"pids", "pids.max", "pids.max"};
  if (!group.made()) GTEST_SKIP() << "no cgroup of processes can be made here";
  std::string scratch = (std::filesystem::temp_directory_path() / "sluice-limit-XXXXXX").string();
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  for (const bool checkpoints : {false, true}) {
    Settings settings = test_settings();
    if (checkpoints) settings.set("checkpoint.path", scratch + "/checkpoints");
    const std::string said = start_with_less(group.join(1), 3, settings);
    std::smatch found;
    ASSERT_TRUE(std::regex_search(said, found, std::regex{"it takes (\\d+) processes"})) << said;
    const std::uint64_t needed = std::stoull(found[1]);
    EXPECT_EQ(needed, checkpoints ? 13U : 12U);
    ASSERT_TRUE(eventually([&] { return group.now() == 0; })) << "those of the start before are gone";
    const pid_t child = ::fork();
    if (child == 0) {
      group.join(needed + 1)();
      Engine engine{echoing(3), settings};
      engine.start();
      const bool all = eventually([&] { return group.now() == needed; }, 20s);
      engine.stop();
      ::_exit(all ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  clear_away(scratch);
}

TEST(Limit, OfMemoryKnowsTheCopyForCheckpoints) {
  const SmallGroup group{"memory", "memory.limit_in_bytes", "memory.max"};
  if (!group.made()) GTEST_SKIP() << "no memory cgroup can be made here";
  Settings settings = test_settings();
  settings.set("state.bytes", "64MiB");
  const auto with_room_for_one = group.join(std::uint64_t{120} << 20);
  EXPECT_EQ(start_with_less(with_room_for_one, 1, settings), "");
  settings.set("checkpoint.path", "/nonexistent/sluice");
  EXPECT_THAT(start_with_less(with_room_for_one, 1, settings),
              AllOf(HasSubstr("the copy for checkpoints"), HasSubstr("take no checkpoints")));
}

TEST(Limit, OfWorkersThatNoMachineHasIsToldAtOnce) {
  const auto all_to_all = [](unsigned workers) {
    Pipeline pipeline{"limited"};
    pipeline.inlet<Item>("in")
        .to<Echo>("echo", {.workers = workers})
        .to<Echo>("again", {.workers = workers})
        .outlet("out");
    return pipeline;
  };
  for (const unsigned workers : {1'000U, 5'000U, 1'000'000U}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(error_of([&] {
                  Engine{all_to_all(workers), test_settings()};
                }),
                AllOf(HasSubstr("cannot"), HasSubstr("workers")))
        << workers;
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20s) << workers;
  }
}

}  // namespace
}  // namespace sluice::test
