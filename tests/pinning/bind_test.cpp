// SPDX-License-Identifier: Apache-2.0
// Places carried out on this machine and checked against what the kernel tells.
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <signal.h>
#include <span>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/report.hpp>
#include <sluice/pinning/topology.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::HasSubstr;

// Undoes what a test did to the affinity of the test process.
class KeepAffinity {
 public:
  KeepAffinity() = default;
  KeepAffinity(const KeepAffinity&) = delete;
  KeepAffinity& operator=(const KeepAffinity&) = delete;
  ~KeepAffinity() { bind_this_process({.units = before_}); }

  const CpuSet& before() const { return before_; }

 private:
  CpuSet before_ = current_units();
};

// A shared mapping of whole pages that nobody has touched.
class Mapping {
 public:
  explicit Mapping(std::size_t pages) : bytes_{pages * page_bytes()} {
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc{};
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(memory_, bytes_); }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_), bytes_}; }
  void touch(std::size_t page) const { bytes()[page * page_bytes()] = std::byte{1}; }
  static std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

 private:
  std::size_t bytes_;
  void* memory_;
};

std::string proc(pid_t pid, const std::string& file) {
  std::ifstream stream{"/proc/" + std::to_string(pid) + "/" + file};
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

CpuSet allowed_in_proc(pid_t pid) {
  const std::string key = "Cpus_allowed_list:";
  const std::string status = proc(pid, "status");
  const auto start = status.find(key) + key.size();
  return CpuSet::parse(status.substr(start, status.find('\n', start) - start));
}

bool kernel_has_no_memory_policy(int error) {
  return error == ENOSYS || error == EPERM;
}

int a_node_of_this_machine() {
  return read_topology().nodes.front().os_index;
}

TEST(Bind, BindsThisProcessToOneUnit) {
  const KeepAffinity keep;
  const CpuSet one{keep.before().to_vector().back()};
  const ProcessBinding binding = bind_this_process({.units = one});
  EXPECT_TRUE(binding.complete());
  EXPECT_EQ(current_units(), one);
  EXPECT_EQ(allowed_in_proc(getpid()), one);
}

TEST(Bind, BindsAForkedChildAndNotItsParent) {
  const CpuSet before = current_units();
  const Place place{.units = CpuSet{before.to_vector().front()}, .numa_node = a_node_of_this_machine()};
  std::array<int, 2> ready{};
  ASSERT_EQ(pipe(ready.data()), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);  // So that it ends even if this test does not live to end it.
    const ProcessBinding binding = bind_this_process(place);
    if (write(ready[1], &binding, sizeof binding) != sizeof binding) _exit(1);
    for (;;)
      pause();
  }
  close(ready[1]);
  ProcessBinding binding;
  ASSERT_EQ(read(ready[0], &binding, sizeof binding), static_cast<ssize_t>(sizeof binding));
  EXPECT_EQ(binding.affinity_error, 0);
  EXPECT_EQ(allowed_in_proc(child), place.units);
  EXPECT_EQ(current_units(child), place.units);
  EXPECT_EQ(current_units(), before);
  if (!kernel_has_no_memory_policy(binding.memory_error)) {
    EXPECT_EQ(binding.memory_error, 0);
    EXPECT_THAT(proc(child, "numa_maps"), HasSubstr("prefer:" + std::to_string(place.numa_node)));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
}

TEST(Bind, ReportsAUnitThatThisMachineDoesNotHave) {
  const CpuSet before = current_units();
  const ProcessBinding binding = bind_this_process({.units = CpuSet{500'000}});
  EXPECT_EQ(binding.affinity_error, EINVAL);
  EXPECT_FALSE(binding.complete());
  EXPECT_EQ(current_units(), before);
}

TEST(Bind, ReportsANodeThatThisMachineDoesNotHaveAndBindsTheUnitsAllTheSame) {
  const KeepAffinity keep;
  const CpuSet one{keep.before().to_vector().front()};
  for (const int node : {1023, 1'000'000}) {
    const ProcessBinding binding = bind_this_process({.units = one, .numa_node = node});
    EXPECT_EQ(binding.affinity_error, 0);
    EXPECT_NE(binding.memory_error, 0);
    EXPECT_EQ(current_units(), one);
  }
}

TEST(Bind, RefusesToTellTheUnitsOfAProcessThatIsNotThere) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  EXPECT_THAT(error_of([child] { current_units(child); }), HasSubstr(std::to_string(child)));
}

TEST(BindMemory, BindsAMappingBeforeItsFirstTouchAndTellsWhatWasGranted) {
  const Mapping mapping{4};
  const int node = a_node_of_this_machine();
  for (const Strictness strictness : {Strictness::preferred, Strictness::bound}) {
    const MemoryBinding binding = bind_memory(mapping.bytes(), node, strictness);
    if (kernel_has_no_memory_policy(binding.error)) GTEST_SKIP() << "no memory policy on this kernel";
    EXPECT_EQ(binding.error, 0);
    EXPECT_EQ(binding.granted_node, node);
  }
}

TEST(BindMemory, ReportsANodeThatThisMachineDoesNotHave) {
  const Mapping mapping{1};
  for (const int node : {-1, 1023, 1'000'000}) {
    const MemoryBinding binding = bind_memory(mapping.bytes(), node);
    EXPECT_NE(binding.error, 0);
    EXPECT_EQ(binding.granted_node, -1);
  }
}

TEST(BindMemory, ReportsMemoryThatDoesNotStartOnAPage) {
  const Mapping mapping{2};
  EXPECT_NE(bind_memory(mapping.bytes().subspan(64), a_node_of_this_machine()).error, 0);
}

TEST(WhereIs, CountsTouchedPagesPerNodeAndUntouchedOnesApart) {
  const Mapping mapping{8};
  for (const std::size_t page : {0U, 3U, 7U})
    mapping.touch(page);
  const Whereabouts found = where_is(mapping.bytes());
  if (kernel_has_no_memory_policy(found.error)) GTEST_SKIP() << "no move_pages on this kernel";
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(found.present_pages(), 3U);
  EXPECT_EQ(found.absent_pages, 5U);
}

TEST(WhereIs, SeesMoreMemoryThanOneSystemCallAsksFor) {
  const Mapping mapping{2500};
  const int node = a_node_of_this_machine();
  const MemoryBinding binding = bind_memory(mapping.bytes(), node, Strictness::bound);
  for (std::size_t page = 0; page < 2500; ++page)
    mapping.touch(page);
  const Whereabouts found = where_is(mapping.bytes());
  if (kernel_has_no_memory_policy(found.error)) GTEST_SKIP() << "no move_pages on this kernel";
  EXPECT_EQ(found.present_pages(), 2500U);
  if (binding.error == 0) {
    EXPECT_EQ(found.pages_on_node.at(node), 2500U);
  }
}

TEST(WhereIs, CountsThePagesThatAPieceOfMemoryLiesOn) {
  const Mapping mapping{3};
  const std::size_t page = Mapping::page_bytes();
  if (kernel_has_no_memory_policy(where_is(mapping.bytes()).error))
    GTEST_SKIP() << "no move_pages on this kernel";
  EXPECT_EQ(where_is(mapping.bytes().subspan(page - 1, 2)).absent_pages, 2U);
  EXPECT_EQ(where_is(mapping.bytes().subspan(page, 1)).absent_pages, 1U);
  EXPECT_EQ(where_is({}).absent_pages, 0U);
}

ProcessReport process_report(std::string name, Place asked, ProcessBinding binding, CpuSet granted) {
  ProcessReport report;
  report.name = std::move(name);
  report.asked = std::move(asked);
  report.binding = binding;
  report.granted = std::move(granted);
  return report;
}

MemoryReport memory_report(std::string name, int asked_node, MemoryBinding binding, Whereabouts found) {
  MemoryReport report;
  report.name = std::move(name);
  report.asked_node = asked_node;
  report.binding = binding;
  report.found = std::move(found);
  return report;
}

TEST(Report, SaysAsAskedWhereEverythingWasGranted) {
  Report report;
  report.processes.push_back(process_report("parse/0", {.units = CpuSet{1}}, {}, CpuSet{1}));
  report.memory.push_back(
      memory_report("lane", 0, {.granted_node = 0}, {.pages_on_node = {{0, 16}}, .absent_pages = 2}));
  EXPECT_TRUE(report.as_asked());
  EXPECT_EQ(to_text(report),
            "what     asked    granted                          verdict\n"
            "parse/0  units 1  units 1                          as asked\n"
            "lane     node 0   16 pages on node 0, 2 untouched  as asked\n");
}

TEST(Report, NamesWhatTheKernelDidNotGrantToProcesses) {
  Report report;
  report.processes.push_back(process_report("a", {.units = CpuSet{1}}, {}, CpuSet{0, 1}));
  report.processes.push_back(
      process_report("b", {.units = CpuSet{9}}, {.affinity_error = EINVAL}, CpuSet{0}));
  report.processes.push_back(
      process_report("c", {.units = CpuSet{1}, .numa_node = 0}, {.memory_error = EPERM}, CpuSet{1}));
  for (const ProcessReport& process : report.processes)
    EXPECT_FALSE(process.as_asked());
  const std::string text = to_text(report);
  EXPECT_THAT(text, HasSubstr("granted other units"));
  EXPECT_THAT(text, HasSubstr("not bound: Invalid argument"));
  EXPECT_THAT(text, HasSubstr("memory not preferred: Operation not permitted"));
}

TEST(Report, NamesWhatTheKernelDidNotGrantToMemory) {
  Report report;
  report.memory.push_back(memory_report("m", 1, {.error = ENOSYS}, {}));
  report.memory.push_back(memory_report("n", 1, {.granted_node = 1}, {.pages_on_node = {{0, 1}, {1, 3}}}));
  report.memory.push_back(memory_report("o", 1, {.granted_node = 1}, {.error = EPERM}));
  for (const MemoryReport& memory : report.memory)
    EXPECT_FALSE(memory.as_asked());
  const std::string text = to_text(report);
  EXPECT_THAT(text, HasSubstr("not bound: Function not implemented"));
  EXPECT_THAT(text, HasSubstr("1 page on node 0, 3 pages on node 1  granted otherwise"));
  EXPECT_THAT(text, HasSubstr("not verified: Operation not permitted"));
}

}  // namespace
}  // namespace sluice::pinning
