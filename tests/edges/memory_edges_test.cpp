// SPDX-License-Identifier: Apache-2.0
// The pages behind a pipeline: huge ones from the pool or put together behind the start, and locked ones. Whatever is killed,
// denied or limited, no page is lost, no event either, and what could not be had is said.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/pinning/bind.hpp>

#include "child_status.hpp"
#include "huge_pool.hpp"
#include "large_segment.hpp"
#include "pipelines.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Memory : public WithProcesses {};

// With 24 MiB of state for each worker.
Settings with_large_state(const std::string& huge) {
  Settings settings = test_settings();
  settings.set("state.bytes", "24MiB");
  settings.set("memory.huge", huge);
  return settings;
}

const MemoryStats& settled_memory(const Engine& engine, Stats& stats) {
  EXPECT_TRUE(eventually([&] {
    stats = engine.stats();
    return stats.memory.settled;
  }));
  return stats.memory;
}

// The lines of a process's mappings of a segment that are of huge pages of the pool, and may be in a core dump.
std::size_t dumped_pool_mappings(pid_t pid, std::size_t& all) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/smaps"};
  std::size_t dumped = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find("VmFlags:") != 0 || (line + " ").find(" ht ") == std::string::npos) continue;
    ++all;
    if ((line + " ").find(" dd ") == std::string::npos) ++dumped;
  }
  return dumped;
}

TEST_F(Memory, OfThePoolServesEventsThroughKillsAndIsGivenBack) {
  const HugePool pool{32};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  const std::size_t free = HugePool::free();
  const std::vector<Item> events = items(3000, 7);
  const std::vector<Counted> expected =
      sorted(run_processes<Counted>(counting_pipeline(2), events, with_large_state("never")));
  Settings settings = with_large_state("2M");
  const std::string socket =
      (std::filesystem::temp_directory_path() / ("sluice-memory-" + std::to_string(::getpid()))).string();
  settings.set("observe.socket", socket);
  const auto meanwhile = [&](Engine& engine, std::size_t pushed) {
    if (pushed == 500) engine.signal_worker("count/0", SIGKILL);
    if (pushed == 1500) ::kill(master_of(engine), SIGKILL);
    if (pushed != 2500) return;
    EXPECT_TRUE(eventually([&] { return engine.stats().masters == 2; }));
    const Stats stats = engine.stats();
    EXPECT_GE(stats.memory.in_pool_2m, std::uint64_t{44} << 20U)
        << "what lies before a state is in small ones";
    EXPECT_THAT(engine.placement(), HasSubstr("MiB in huge pages of 2MiB"));
    std::size_t mappings = 0;
    EXPECT_EQ(dumped_pool_mappings(worker_of(engine, "count/1").pid, mappings), 0U) << "in no core dump";
    EXPECT_GE(mappings, 2U);
    const Observer observer = Observer::attach(socket);
    EXPECT_EQ(to_text(observer.stats().memory), to_text(stats.memory));
  };
  EXPECT_EQ(sorted(run_processes<Counted>(counting_pipeline(2), events, settings, meanwhile)), expected);
  EXPECT_TRUE(HugePool::gets_back(free));
}

// Placement binds memory before it is there and asks where it is afterwards, whatever the size of its pages.
TEST_F(Memory, OfThePoolIsBoundToANodeAndTellsWhereItIs) {
  const HugePool pool{16};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  ipc::Segment segment{"bound", ipc::test::kLarge, ipc::test::kRequired};
  const pinning::MemoryBinding bound = pinning::bind_memory(segment.plain(0), 0);
  if (bound.error != 0) GTEST_SKIP() << "memory is not bound here: " << std::strerror(bound.error);
  EXPECT_EQ(bound.granted_node, 0);
  segment.prefault();
  for (std::size_t at = 0; at < segment.plain(0).size(); at += 4096)
    static_cast<void>(*static_cast<volatile std::byte*>(&segment.plain(0)[at]));  // Mapped by this process.
  const pinning::Whereabouts found = pinning::where_is(segment.plain(0));
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(found.absent_pages, 0U);
  EXPECT_EQ(found.pages_on_node.size(), 1U);
  EXPECT_EQ(found.pages_on_node.count(0), 1U);
}

// Becomes a host, and says when all its processes are there.
[[noreturn]] void be_a_host(int ready) {
  ::setsid();
  Engine engine{counting_pipeline(2), with_large_state("2M")};
  engine.start();
  if (::write(ready, "x", 1) != 1) ::_exit(1);
  while (true)
    ::pause();
}

TEST_F(Memory, OfThePoolIsFreeAgainWhenTheWholeTreeIsKilled) {
  const HugePool pool{32};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  const std::size_t free = HugePool::free();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t host = ::fork();
  if (host == 0) be_a_host(ends[1]);
  ::close(ends[1]);
  char ready = 0;
  EXPECT_EQ(::read(ends[0], &ready, 1), 1);
  ::close(ends[0]);
  EXPECT_LE(HugePool::free(), free - 22);
  std::vector<pid_t> tree{host};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    ::kill(tree[i], SIGSTOP);  // Who stands still starts no other.
    for (const pid_t child : children_of(tree[i]))
      tree.push_back(child);
  }
  EXPECT_GT(tree.size(), 4U);
  for (const pid_t process : tree)
    ::kill(process, SIGKILL);
  ::waitpid(host, nullptr, 0);
  EXPECT_TRUE(HugePool::gets_back(free));
}

TEST_F(Memory, OfThePoolThatIsAskedForAndNotThereIsAnErrorBeforeTheStart) {
  const HugePool no_more{0};
  Settings settings = with_large_state("2M");
  settings.set("state.bytes", std::to_string(HugePool::number("free_hugepages") * 2 + 64) + "MiB");
  EXPECT_THAT(error_of([&] {
                const Engine engine{counting_pipeline(1), settings};
              }),
              AllOf(HasSubstr("take huge pages of 2 MiB for counting"), HasSubstr("are free, of"),
                    HasSubstr("as root: echo "), HasSubstr("memory.huge=auto")));
  settings.set("memory.huge", "1G");
  settings.set("state.bytes", "1025MiB");
  if (std::ifstream{"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"}.peek() == '0') {
    EXPECT_THAT(error_of([&] {
                  const Engine engine{counting_pipeline(1), settings};
                }),
                AllOf(HasSubstr("take huge pages of 1 GiB"), HasSubstr("hugepages-1048576kB/nr_hugepages")));
  }
  settings.set("segment.path", "/dev/shm/sluice-never-made");
  EXPECT_THAT(error_of([&] {
                const Engine engine{counting_pipeline(1), settings};
              }),
              AllOf(HasSubstr("/dev/shm/sluice-never-made"), HasSubstr("memory.huge=auto")));
}

TEST_F(Memory, IsPutIntoHugePagesBehindTheStartAndSaysSo) {
  const HugePool no_pool{0};
  Settings settings = with_large_state("auto");
  settings.set("log.level", "info");
  std::string log = (std::filesystem::temp_directory_path() / "sluice-memory-log-XXXXXX").string();
  const detail::Descriptor said{::mkstemp(log.data())};
  Engine engine{counting_pipeline(1), settings};
  engine.log_to(said.get());
  engine.start();
  Stats stats;
  const MemoryStats& memory = settled_memory(engine, stats);
  if (memory.in_pool_2m != 0) GTEST_SKIP() << "there are free pages in the pool";
  EXPECT_GE(memory.collapsible, std::uint64_t{22} << 20U);
  EXPECT_LE(memory.collapsed, memory.collapsible);
  EXPECT_EQ(memory.collapsed == memory.collapsible, memory.collapse_refused.empty())
      << memory.collapse_refused;
  EXPECT_THAT(memory.remark, HasSubstr("none of 2 MiB: ")) << "why not from the pool";
  EXPECT_THAT(engine.placement(), HasSubstr("put into huge pages behind the start"));
  const auto has_said = [&log] {
    std::ifstream file{log};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    return text.find("put into huge pages behind the start") != std::string::npos;
  };
  EXPECT_TRUE(eventually(has_said));
  // The next master finds what is done.
  ::kill(master_of(engine), SIGKILL);
  EXPECT_TRUE(eventually([&] { return engine.stats().masters == 2 && engine.stats().memory.settled; }));
  EXPECT_GE(engine.stats().memory.collapsed, memory.collapsed);
  engine.stop();
  std::filesystem::remove(log);
}

TEST_F(Memory, OfASmallPipelineIsLeftAsItIsAndNothingIsSaid) {
  Settings settings = test_settings();
  settings.set("memory.huge", "auto");
  Engine engine{counting_pipeline(1), settings};
  engine.start();
  EXPECT_TRUE(eventually([&] { return engine.stats().memory.settled; }));
  EXPECT_EQ(to_text(engine.stats().memory), "");
  EXPECT_THAT(to_text(engine.stats(), {}, 0), testing::Not(HasSubstr("memory:")));
  engine.stop();
}

constexpr int kNoFilterHere = 77;

int run_without_exchange(int error) {
  constexpr std::uint32_t kCollapse = 25;  // MADV_COLLAPSE
  if (!ipc::test::deny(SYS_madvise, 2, kCollapse, error)) return kNoFilterHere;
  Settings settings = with_large_state("auto");
  settings.set("observe.socket", "off");
  const std::vector<Item> events = items(300, 7);
  bool told = false;
  const auto out =
      run_processes<Counted>(counting_pipeline(1), events, settings, [&](Engine& engine, std::size_t pushed) {
        if (pushed != 200) return;
        eventually([&] { return engine.stats().memory.settled; });
        const MemoryStats memory = engine.stats().memory;
        told = memory.in_pool_2m != 0 ||
               (memory.collapsed == 0 && memory.collapse_refused == std::strerror(error));
      });
  if (out.size() != events.size()) return 1;
  return told ? 0 : 2;
}

TEST_F(Memory, StaysInSmallPagesWhereTheKernelCannotOrMayNotExchangeThem) {
  const HugePool no_pool{0};
  for (const int error : {EINVAL, EPERM}) {
    const int status = status_in_child([error] { return run_without_exchange(error); });
    if (status == kNoFilterHere) GTEST_SKIP() << "no filter of system calls can be had here";
    EXPECT_EQ(status, 0) << std::strerror(error);
  }
}

// What the kernel says of one page of a file: 0 when it may not be known here.
std::uint64_t frame_of(const std::string& path, std::size_t offset) {
  const detail::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.get(), static_cast<off_t>(offset));
  if (page == MAP_FAILED) return 0;
  [[maybe_unused]] const char touched = *static_cast<volatile char*>(page);
  const detail::Descriptor map{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
  std::uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(page) / 4096 * sizeof(entry));
  if (::pread(map.get(), &entry, sizeof(entry), at) != sizeof(entry)) entry = 0;
  ::munmap(page, 4096);
  return entry & ((std::uint64_t{1} << 55U) - 1);
}

TEST_F(Memory, OfANamedSegmentIsTheSamePagesAfterTheNextStart) {
  const std::string path = "/dev/shm/sluice-memory-" + std::to_string(::getpid());
  Settings settings = with_large_state("auto");
  settings.set("segment.path", path);
  std::vector<std::uint64_t> frames[2];
  std::uint64_t collapsed[2];
  for (const int start : {0, 1}) {
    Engine engine{counting_pipeline(1), settings};
    engine.start();
    EXPECT_EQ(engine.resumed(), start == 1);
    Stats stats;
    collapsed[start] = settled_memory(engine, stats).collapsed;
    auto in = engine.inlet<Item>("in");  // What was never used is not kept.
    EXPECT_EQ(in.push({1, 1}), PushResult::accepted);
    engine.park();
    for (std::size_t at = std::size_t{4} << 20U; at < std::size_t{24} << 20U; at += std::size_t{1234} * 4096)
      frames[start].push_back(frame_of(path, at));
  }
  std::filesystem::remove(path);
  clear_away(path + ".reports");
  EXPECT_LE(collapsed[0], collapsed[1]);
  if (collapsed[0] != collapsed[1]) GTEST_SKIP() << "there were not huge pages enough for the first start";
  if (frames[0].front() == 0) GTEST_SKIP() << "where pages are is not told here";
  EXPECT_EQ(frames[0], frames[1]) << "neither zeroed anew nor copied once more";
}

std::size_t locked_kib_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(file, line);) {
    if (line.find("VmLck:") == 0) return std::stoul(line.substr(6));
  }
  return 0;
}

// Pages of the pool, of which another test may have set some aside, need no lock.
std::size_t lockable_kib_of(const Engine& engine) {
  const MemoryStats memory = engine.stats().memory;
  return (memory.bytes - memory.in_pool_2m - memory.in_pool_1g) / 1024;
}

// The process of the master's that holds the memory locked; 0 while there is none that holds all of it.
pid_t memory_keeper_of(const Engine& engine) {
  const std::size_t kib = lockable_kib_of(engine);
  for (const pid_t child : children_of(master_of(engine))) {
    std::string name;
    std::getline(std::ifstream{"/proc/" + std::to_string(child) + "/comm"}, name);
    if (name == "sluice-memory" && locked_kib_of(child) >= kib) return child;
  }
  return 0;
}

TEST_F(Memory, IsLockedByAProcessThatIsReplacedWhenItDies) {
  Settings settings = with_large_state("auto");
  settings.set("memory.lock", "yes");
  Engine engine{counting_pipeline(1), settings};
  try {
    engine.start();
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  EXPECT_GE(locked_kib_of(::getpid()), lockable_kib_of(engine)) << "the host, too, while it lives";
  pid_t keeper = 0;
  EXPECT_TRUE(eventually([&] { return (keeper = memory_keeper_of(engine)) != 0; }));
  EXPECT_TRUE(eventually([&] { return engine.stats().memory.locked; }));
  EXPECT_THAT(engine.placement(), HasSubstr("; locked"));
  ASSERT_GT(keeper, 1);
  ::kill(keeper, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const pid_t next = memory_keeper_of(engine);
    return next != 0 && next != keeper;
  }));
  keeper = memory_keeper_of(engine);
  ::kill(master_of(engine), SIGKILL);
  EXPECT_TRUE(eventually([&] { return engine.stats().masters == 2 && !is_alive(keeper); }));
  EXPECT_TRUE(eventually([&] { return memory_keeper_of(engine) != 0; }));
  engine.stop();
}

int start_locked_with_too_little() {
  constexpr uid_t kNobody = 65534;
  const rlimit little{65536, 65536};
  if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0) return 77;
  if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) return 77;
  Settings settings = test_settings();
  settings.set("memory.lock", "yes");
  settings.set("observe.socket", "off");
  settings.set("report.path", "/tmp/sluice-locked-" + std::to_string(::getpid()));
  // By the constructor: no further start is of use.
  const std::string text = error_of([&] { const Engine engine{counting_pipeline(1), settings}; });
  return text.find("this process may lock 64 KiB (RLIMIT_MEMLOCK)") != std::string::npos &&
                 text.find("memory.lock=no") != std::string::npos
             ? 0
             : 1;
}

TEST_F(Memory, ThatMayNotBeLockedIsAnErrorThatNamesTheLimit) {
  const int status = status_in_child(start_locked_with_too_little);
  if (status == 77) GTEST_SKIP() << "limits and users cannot be chosen here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice::test
