// SPDX-License-Identifier: Apache-2.0
#include "memory_limits.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <sys/resource.h>

#include <fmt/format.h>

#include <sluice/detail/cgroup.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>

#include "sluice/ipc/segment.hpp"

namespace sluice::ipc {
namespace {

using sluice::detail::Cgroup;
using sluice::detail::number_in;

// The number behind `key` in a file of keys and numbers; 0 when there is none.
std::uint64_t number_of(const std::string& key, const std::filesystem::path& path) {
  std::ifstream file = sluice::detail::words_of_file(path);
  std::string found;
  std::uint64_t number = 0;
  std::string rest;
  while (file >> found >> number && std::getline(file, rest)) {
    if (found == key) return number;
  }
  return 0;
}

// What a control group may still take; what it holds of files that the kernel gives back when it has to does not
// count.
std::optional<std::uint64_t> left_in(const Cgroup& group) {
  const auto& [directory, version_2] = group;
  const auto limit = number_in(directory / (version_2 ? "memory.max" : "memory.limit_in_bytes"));
  const auto used = number_in(directory / (version_2 ? "memory.current" : "memory.usage_in_bytes"));
  if (!limit || !used) return std::nullopt;
  const std::uint64_t given_back =
      number_of(version_2 ? "inactive_file" : "total_inactive_file", directory / "memory.stat");
  const std::uint64_t held = *used - std::min(*used, given_back);
  return *limit - std::min(*limit, held);
}

std::size_t mib(std::uint64_t bytes) {
  return bytes >> 20U;
}

// What is refused, and what to do about it.
struct Wanted {
  const std::string& action;
  const std::string& name;
  std::size_t bytes;
  const std::string& remedy;
};

void refuse_machine(const Wanted& wanted) {
  const std::size_t bytes = wanted.bytes;
  const std::uint64_t available = number_of("MemAvailable:", "/proc/meminfo") * 1024;
  if (available == 0 || bytes <= available) return;  // 0: it cannot be read.
  throw Error{{wanted.action, wanted.name,
               fmt::format("it takes {} MiB and {} MiB of memory are available", mib(bytes), mib(available)),
               wanted.remedy}};
}

void refuse_cgroup(const Wanted& wanted) {
  const std::size_t bytes = wanted.bytes;
  for (const Cgroup& group : sluice::detail::cgroups_of_this_process("memory")) {
    const auto left = left_in(group);
    if (!left || bytes <= *left) continue;
    throw Error{{wanted.action, wanted.name,
                 fmt::format("it takes {} MiB, and the memory limit of the control group {} leaves {} MiB",
                             mib(bytes), group.directory.string(), mib(*left)),
                 "raise that limit, or " + wanted.remedy}};
  }
}

void refuse_file_size(const std::string& name, std::size_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur)
    return;
  throw Error{
      {"create the segment of", name,
       fmt::format("it takes {} bytes, and this process may make no file of more than {}, in memory neither",
                   bytes, limit.rlim_cur),
       std::string{"raise the limit of file sizes (ulimit -f, RLIMIT_FSIZE), or "}.append(kTakeLessMemory)}};
}

void refuse_mappings(const std::string& name, std::size_t mappings) {
  const auto most = number_in("/proc/sys/vm/max_map_count");
  constexpr std::size_t kOfTheProgram = 1000;  // Libraries, threads, the heap.
  if (!most || mappings + kOfTheProgram <= *most) return;
  throw Error{
      {"create the segment of", name,
       fmt::format("it takes {} mappings in each process, and the machine allows {}", mappings, *most),
       fmt::format(
           "raise vm.max_map_count to {} (sysctl), or lower the number of workers: every lane takes two",
           mappings + kOfTheProgram)}};
}

}  // namespace

void refuse_addresses(const std::string& name, std::size_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  throw Error{
      {"reserve addresses for the segment of", name,
       fmt::format("it takes {} MiB of them, and this process may have {} MiB in all", mib(bytes),
                   mib(limit.rlim_cur)),
       std::string{"raise the limit of addresses (ulimit -v, RLIMIT_AS), or "}.append(kTakeLessMemory)}};
}

void refuse_more_memory_than_there_is(const std::string& name, std::size_t bytes, std::size_t mappings) {
  refuse_mappings(name, mappings);
  refuse_file_size(name, bytes);
  refuse_memory("create the segment of", name, bytes, kTakeLessMemory);
}

void refuse_memory(const std::string& action, const std::string& name, std::size_t bytes,
                   const std::string& remedy) {
  refuse_machine({action, name, bytes, remedy});
  refuse_cgroup({action, name, bytes, remedy});
}

std::size_t locked_bytes() {
  return number_of("VmLck:", "/proc/self/status") * 1024;
}

}  // namespace sluice::ipc
