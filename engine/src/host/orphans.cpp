// SPDX-License-Identifier: Apache-2.0
#include "host/orphans.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

std::string contents_of(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; file && (got = ::read(file.get(), piece, sizeof(piece))) > 0;)
    text.append(piece, static_cast<std::size_t>(got));
  return text;
}

// Whether /proc is that of this process's PID namespace: in another one, its numbers mean other processes here.
bool proc_is_ours() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self", error) == std::to_string(::getpid());
}

// Of all threads of this process: which of them gets an orphan is the kernel's choice.
std::vector<pid_t> children_of_this_process() {
  std::vector<pid_t> children;
  if (!proc_is_ours()) return children;
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return children;
  while (const dirent* task = ::readdir(tasks)) {
    if (task->d_name[0] == '.') continue;
    const std::string list = contents_of(std::string{"/proc/self/task/"} + task->d_name + "/children");
    const char* at = list.data();
    const char* const end = at + list.size();
    for (pid_t child = 0; at < end; ++at) {
      const auto read = std::from_chars(at, end, child);
      if (read.ec != std::errc{}) break;
      children.push_back(child);
      at = read.ptr;
    }
  }
  ::closedir(tasks);
  return children;
}

// It stands in parentheses, and may hold some.
std::string name_of(pid_t child) {
  const std::string stat = contents_of("/proc/" + std::to_string(child) + "/stat");
  const std::size_t begin = stat.find('(');
  const std::size_t end = stat.rfind(')');
  if (begin == std::string::npos || end == std::string::npos) return {};
  return stat.substr(begin + 1, end - begin - 1);
}

// A worker's name has a slash, which the name of a program never has.
bool is_ours(const Wiring& wiring, std::string_view name) {
  constexpr std::array kNames{kSupervisorName,  kMasterName,    kStandbyName,     kMmPinName,
                              kStackDumperName, kLogWriterName, kCheckpointerName};
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  const auto workers = wiring.workers();
  return std::any_of(workers.begin(), workers.end(), [&](WorkerIndex worker) {
    return worker_process_name(wiring.graph().name, wiring.name(worker)) == name;
  });
}

// True while the process is a child of this one, and lives.
bool reap_known(pid_t pid, std::uint64_t identity, pid_t own_child) {
  if (pid == own_child) return false;
  const Descriptor pidfd = find_process(pid, identity);
  siginfo_t info{};
  if (!pidfd ||
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG) != 0)
    return false;
  return info.si_pid == 0;
}

// The same of all that the master has written down.
bool reap_written_down(const Wiring& wiring, pid_t own_child) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // Claims: a process is found by its identity.
  const auto reap = [own_child](const auto& entry) {
    return reap_known(entry.pid.load(kRelaxed), entry.identity.load(kRelaxed), own_child);
  };
  const MasterRegister& master = wiring.master();
  bool some_live = reap(master.master);
  some_live = reap(master.supervisor) || some_live;
  for (const WorkerIndex worker : wiring.workers())
    some_live = reap(wiring.entry(worker)) || some_live;
  return some_live;
}

}  // namespace

bool inherits_orphans() noexcept {
  int subreaper = 0;
  return ::getpid() == 1 || (::prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

bool reap_orphans(const Wiring& wiring, pid_t own_child) {
  try {
    bool some_live = reap_written_down(wiring, own_child);
    for (const pid_t child : children_of_this_process()) {
      if (child == own_child || !is_ours(wiring, name_of(child))) continue;
      // A child, dead or not, keeps its pid until this process waits for it.
      siginfo_t info{};
      some_live =
          (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) ||
          some_live;
    }
    return some_live;
  } catch (...) {
    return true;  // Out of descriptors or memory, perhaps for a moment only: they are found at the next look.
  }
}

void reap_last_orphans(const Wiring& wiring, std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kLook{1};
  const auto until = std::chrono::steady_clock::now() + limit;
  while (reap_orphans(wiring, 0) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(kLook);
}

}  // namespace sluice::detail
