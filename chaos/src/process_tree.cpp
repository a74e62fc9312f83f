// SPDX-License-Identifier: Apache-2.0
#include "process_tree.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/syscall.h>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/plain_text.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// Programs that fork trees deeper than this, or more processes than this, are not pipelines.
constexpr unsigned kMostDepth = 64;

struct StatLine {
  std::string name;
  char state = '?';
  pid_t parent = 0;
};

std::optional<StatLine> read_stat(pid_t pid) {
  std::ifstream file = words_of_file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  // The second field is the name, which may hold anything, in parentheses. Source: proc(5).
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  StatLine line;
  line.name = text.substr(open + 1, close - open - 1);
  int parent = 0;
  if (std::sscanf(text.c_str() + close + 1, " %c %d", &line.state, &parent) != 2) return std::nullopt;
  line.parent = parent;
  return line;
}

// Of all threads: a child belongs to the thread that forked it.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code gone;
  for (std::filesystem::directory_iterator task{fmt::format("/proc/{}/task", parent), gone}, end;
       !gone && task != end; task.increment(gone)) {
    std::ifstream file = words_of_file(task->path() / "children");
    for (pid_t child = 0; file >> child;)
      children.push_back(child);
  }
  return children;
}

void require_lists_of_children() {
  const std::string path = fmt::format("/proc/{0}/task/{0}/children", ::getpid());
  if (::access(path.c_str(), R_OK) == 0) return;
  throw Error{{"find the processes of the pipeline in", path, errno_text(),
               "it needs /proc, and a kernel with CONFIG_PROC_CHILDREN"}};
}

// The child as it was while its pidfd was open and it was a child of `parent`; nothing when it has gone.
std::optional<FoundProcess> open_child(pid_t pid, pid_t parent, ProcessKind parent_kind) {
  FoundProcess child;
  child.pid = pid;
  child.pidfd = Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (child.pidfd.get() < 0) return std::nullopt;
  std::optional<StatLine> stat = read_stat(pid);
  // A process that still lives has its pid for itself, so what was just read is about the one that is held.
  if (!stat || stat->parent != parent || is_gone(child.pidfd)) return std::nullopt;
  child.name = std::move(stat->name);
  child.state = stat->state;
  child.kind = kind_of(child.name, parent_kind);
  return child;
}

// `held` is the pidfd of the parent, or nothing for a root whose pid is known to be its own.
void visit(pid_t parent, ProcessKind parent_kind, const Descriptor* held, unsigned depth,
           const std::function<void(FoundProcess)>& found) {
  if (depth == kMostDepth) return;
  std::vector<FoundProcess> children;
  for (const pid_t pid : children_of(parent)) {
    std::optional<FoundProcess> child = open_child(pid, parent, parent_kind);
    if (child) children.push_back(std::move(*child));
  }
  // Had the parent died, its pid and with it the children could have been another's.
  if (held != nullptr && is_gone(*held)) return;
  for (FoundProcess& child : children) {
    visit(child.pid, child.kind, &child.pidfd, depth + 1, found);
    found(std::move(child));
  }
}

bool is_worker_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == name.size()) return false;
  return std::all_of(name.begin() + static_cast<std::ptrdiff_t>(slash) + 1, name.end(),
                     [](char character) { return is_digit(character); });
}

// Of a process whose parents are not there to tell: a master can have become a supervisor, and a standby a
// worker.
ProcessKind kind_of_known(const FoundProcess& process, std::string_view name_now) {
  const ProcessKind by_name = kind_of(name_now, ProcessKind::other);
  if (by_name != ProcessKind::other) return by_name;
  const bool was_nothing_yet = process.kind == ProcessKind::standby || process.kind == ProcessKind::newborn;
  return was_nothing_yet && process.name != name_now ? ProcessKind::worker : process.kind;
}

}  // namespace

std::string_view name_of(ProcessKind kind) noexcept {
  switch (kind) {
    case ProcessKind::other:
      return "other";
    case ProcessKind::worker:
      return "worker";
    case ProcessKind::standby:
      return "standby";
    case ProcessKind::dumper:
      return "dumper";
    case ProcessKind::log_writer:
      return "log writer";
    case ProcessKind::checkpointer:
      return "checkpointer";
    case ProcessKind::newborn:
      return "newborn";
    case ProcessKind::master:
      return "master";
    case ProcessKind::supervisor:
      return "supervisor";
  }
  return "?";
}

ProcessKind kind_of(std::string_view name, ProcessKind parent) noexcept {
  const bool of_master = parent == ProcessKind::master;
  const bool of_supervisor = parent == ProcessKind::supervisor;
  // What a worker's handler has started is the handler's.
  if (!of_master && !of_supervisor && parent != ProcessKind::other) return ProcessKind::other;
  // Of a dead worker: an orphan that the supervisor has got.
  if (name == kMmPinName) return ProcessKind::other;
  if (name == kSupervisorName) return of_supervisor ? ProcessKind::newborn : ProcessKind::supervisor;
  if (name == kMasterName) return of_master ? ProcessKind::newborn : ProcessKind::master;
  if (name == kStandbyName) return ProcessKind::standby;
  if (name == kStackDumperName) return ProcessKind::dumper;
  if (name == kLogWriterName) return ProcessKind::log_writer;
  if (name == kCheckpointerName) return ProcessKind::checkpointer;
  if (of_master || of_supervisor) return ProcessKind::worker;
  // Of an ordinary process, or orphaned: only what its name leaves no doubt about. Names that the kernel
  // makes of a program's file have no slash.
  return is_worker_name(name) ? ProcessKind::worker : ProcessKind::other;
}

bool is_gone(const Descriptor& pidfd) noexcept {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

void visit_descendants(pid_t root, const std::function<void(FoundProcess)>& found) {
  require_lists_of_children();
  visit(root, ProcessKind::other, nullptr, 0, found);
}

const std::vector<FoundProcess>& PipelineProcesses::look(pid_t root) {
  std::vector<FoundProcess> now;
  const auto is_there = [&now](pid_t pid) {
    return std::any_of(now.begin(), now.end(), [pid](const FoundProcess& other) { return other.pid == pid; });
  };
  // An orphan can be found twice: below an orphan that is known, and as one that is known itself.
  const auto keep = [&](FoundProcess process) {
    if (process.kind != ProcessKind::other && !is_there(process.pid)) now.push_back(std::move(process));
  };
  visit_descendants(root, keep);
  for (FoundProcess& process : known_) {
    if (is_gone(process.pidfd) || is_there(process.pid)) continue;
    const std::optional<StatLine> stat = read_stat(process.pid);
    if (!stat || is_gone(process.pidfd)) continue;
    process.kind = kind_of_known(process, stat->name);
    process.name = stat->name;
    visit(process.pid, process.kind, &process.pidfd, 1, keep);
    process.state = stat->state;
    keep(std::move(process));
  }
  std::sort(now.begin(), now.end(), [](const FoundProcess& a, const FoundProcess& b) {
    return std::tie(a.kind, a.name, a.pid) < std::tie(b.kind, b.name, b.pid);
  });
  known_ = std::move(now);
  return known_;
}

}  // namespace sluice::detail
