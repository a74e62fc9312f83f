// SPDX-License-Identifier: Apache-2.0
#include "host/machine_check.hpp"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/cgroup.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>

#include "layout/image.hpp"

namespace sluice::detail {
namespace {

// Of a directory of it that cannot be read.
std::string remedy_for_proc(int reason) {
  const std::string filter = remedy_for_call(reason, "openat, fcntl and getdents64");
  return filter.empty() ? "mount /proc" : filter;
}

std::size_t thread_count() {
  std::error_code error;
  std::filesystem::directory_iterator tasks{"/proc/self/task", error};
  if (error)
    throw Error{{"count the threads of", "this process", error.message(), remedy_for_proc(error.value())}};
  return static_cast<std::size_t>(std::distance(tasks, {}));
}

void refuse_call(const std::string& pipeline, const char* call) {
  const bool too_many = errno == EMFILE || errno == ENFILE;
  throw Error{{"start the pipeline", pipeline, fmt::format("the kernel refuses {}: {}", call, errno_text()),
               too_many ? "raise the limit of open files (ulimit -n)"
                        : "allow it in the filter of system calls (seccomp); Linux has it since 5.4"}};
}

std::uint64_t open_descriptors() {
  std::error_code error;
  std::filesystem::directory_iterator entries{"/proc/self/fd", error};
  return error ? 0 : static_cast<std::uint64_t>(std::distance(entries, {}));
}

void refuse_descriptors(const std::string& pipeline, std::size_t processes, std::size_t ends) {
  // In the master, which has most: a doorbell and a pidfd for each process, a doorbell for each inlet and outlet, and
  // what there is once, or for a stack that is being taken.
  constexpr std::uint64_t kOnce = 24;
  const std::uint64_t needed = open_descriptors() + 2 * processes + ends + kOnce;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || needed <= limit.rlim_cur)
    return;
  throw Error{
      {"start the pipeline", pipeline,
       fmt::format("it takes {} open files, of those {} that are open already, and this process may have {}",
                   needed, open_descriptors(), limit.rlim_cur),
       "raise the limit of open files (ulimit -n, RLIMIT_NOFILE), or lower the number of workers"}};
}

std::uint64_t processes_of(std::size_t workers, const PipelineSettings& settings) {
  // Each worker has an mm_pin; supervisor, master, a standby with its own, and one that is on its way out.
  constexpr std::uint64_t kOnce = 5;
  const bool logs = settings.log.level != LogLevel::off;
  const bool keeps_memory = settings.memory.collapse_from.has_value() || settings.memory.lock;
  const bool checkpoints = !settings.checkpoints.path.empty();
  return 2 * workers + kOnce + (logs ? 1 : 0) + (keeps_memory ? 1 : 0) + (checkpoints ? 1 : 0);
}

void refuse_processes(const std::string& pipeline, std::uint64_t needed) {
  for (const Cgroup& group : cgroups_of_this_process("pids")) {
    const auto most = number_in(group.directory / "pids.max");
    const auto now = number_in(group.directory / "pids.current");
    if (!most || !now || *now + needed <= *most) continue;
    throw Error{
        {"start the pipeline", pipeline,
         fmt::format("it takes {} processes, and the control group {} has {} of the {} that it may have",
                     needed, group.directory.string(), *now, *most),
         "raise that limit, or lower the number of workers"}};
  }
  rlimit limit{};
  if (::geteuid() == 0 || ::getrlimit(RLIMIT_NPROC, &limit) != 0 || needed <= limit.rlim_cur) return;
  throw Error{{"start the pipeline", pipeline,
               fmt::format("it takes {} processes, and this user may have {}", needed, limit.rlim_cur),
               "raise the limit of processes (ulimit -u, RLIMIT_NPROC), or lower the number of workers"}};
}

}  // namespace

void refuse_kernel(const std::string& pipeline) {
  const timespec none{0, 0};
  if (::ppoll(nullptr, 0, &none, nullptr) != 0) refuse_call(pipeline, "ppoll");
  if (::poll(nullptr, 0, 0) != 0) refuse_call(pipeline, "poll");
  const Descriptor watch{::epoll_create1(EPOLL_CLOEXEC)};
  if (!watch) refuse_call(pipeline, "epoll_create1");
  epoll_event event{};
  if (::epoll_wait(watch.get(), &event, 1, 0) != 0) refuse_call(pipeline, "epoll_wait");
  cpu_set_t units;
  // A machine with more units than the set has room for says EINVAL.
  if (::sched_getaffinity(0, sizeof(units), &units) != 0 && errno != EINVAL)
    refuse_call(pipeline, "sched_getaffinity");
  std::error_code error;
  const std::filesystem::directory_iterator entries{"/proc/self/task", error};
  if (error)
    throw Error{{"start the pipeline", pipeline, "/proc/self/task: " + error.message(),
                 remedy_for_proc(error.value())}};
  const Descriptor self{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};
  if (!self) refuse_call(pipeline, "pidfd_open");
  if (!send_signal(self, 0)) refuse_call(pipeline, "pidfd_send_signal");
  siginfo_t info{};
  // This process is no child of itself.
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(self.get()), &info, WEXITED | WNOHANG) !=
          0 &&
      errno != ECHILD) {
    refuse_call(pipeline, "waitid");
  }
}

void refuse_limits(const std::string& pipeline, const Layout& layout, const PipelineSettings& settings,
                   bool segment_in_file) {
  refuse_descriptors(pipeline, layout.processes.size(), layout.ends.size());
  refuse_processes(pipeline, processes_of(layout.worker_count(), settings));
  if (settings.checkpoints.path.empty()) return;
  // As much as the segment, once all of that is in use.
  const std::size_t bytes = ImageMap{layout, {}}.bytes();
  ipc::refuse_memory(
      segment_in_file ? "make the copy for checkpoints of"
                      : "create the segment and the copy for checkpoints of",
      pipeline, segment_in_file ? bytes : 2 * bytes,
      "lower lane.bytes, lane.slots, state.bytes or the number of workers, or take no checkpoints");
}

void refuse_threads(const std::string& pipeline) {
  // One that was just joined is still listed for a moment: its memory is given back before it is gone.
  constexpr std::chrono::milliseconds kPatience{200};
  const auto until = monotonic_now() + kPatience;
  std::size_t threads = thread_count();
  while (threads > 1 && monotonic_now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    threads = thread_count();
  }
  if (threads > 1) {
    throw Error{{"start the pipeline", pipeline, fmt::format("this process runs {} threads", threads),
                 "call start() before the first thread is made: a fork takes only one along"}};
  }
}

}  // namespace sluice::detail
