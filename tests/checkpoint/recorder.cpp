// SPDX-License-Identifier: Apache-2.0
#include "recorder.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <map>
#include <optional>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::test {
namespace {

using What = DiskCall::What;

struct Call {
  std::uint64_t number = 0;
  std::uint64_t args[6] = {};
  std::int64_t result = 0;
};

// Calls that change files, and are not among those that are understood below.
bool is_not_understood(std::uint64_t number) {
  switch (number) {
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_writev:
    case SYS_truncate:
    case SYS_fallocate:
    case SYS_fdatasync:
    case SYS_sync_file_range:
    case SYS_symlinkat:
    case SYS_copy_file_range:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_io_uring_setup:
      return true;
    default:
      return false;
  }
}

class Recorder {
 public:
  Recorder(pid_t pid, std::string root) : pid_{pid}, root_{std::move(root)} { objects_[root_] = 0; }

  void understand(const Call& call) {
    const auto& args = call.args;
    switch (call.number) {
      case SYS_openat:
        return opened(path_of(args[0], args[1]), static_cast<int>(args[2]), static_cast<int>(call.result));
#ifdef SYS_mkdir
      case SYS_mkdir:
        return made_directory(path_of(kHere, args[0]));
      case SYS_rename:
        return renamed(path_of(kHere, args[0]), path_of(kHere, args[1]));
      case SYS_link:
        return linked(path_of(kHere, args[0]), path_of(kHere, args[1]));
      case SYS_unlink:
        return removed(path_of(kHere, args[0]));
#endif
      case SYS_linkat:
        return linked(path_of(args[0], args[1]), path_of(args[2], args[3]));
      case SYS_mkdirat:
        return made_directory(path_of(args[0], args[1]));
      case SYS_close:
        descriptors_.erase(static_cast<int>(args[0]));
        return;
      case SYS_fcntl:
        if (args[1] == F_DUPFD_CLOEXEC || args[1] == F_DUPFD) copied(args[0], call.result);
        return;
      case SYS_write:
        return wrote(args[0], args[1], static_cast<std::size_t>(call.result), std::nullopt);
      case SYS_pwrite64:
        return wrote(args[0], args[1], static_cast<std::size_t>(call.result), args[3]);
      case SYS_ftruncate:
        return cut(args[0], args[1]);
      case SYS_fsync:
        return synced(args[0]);
#ifdef SYS_renameat
      case SYS_renameat:
#endif
      case SYS_renameat2:
        return renamed(path_of(args[0], args[1]), path_of(args[2], args[3]));
      case SYS_unlinkat:
        return removed(path_of(args[0], args[1]));
      default:
        if (is_not_understood(call.number))
          say("call " + std::to_string(call.number) + " is not known to the recorder");
    }
  }
  void mark(std::uint64_t number) {
    DiskCall call;
    call.what = What::mark;
    call.at = number;
    recording_.calls.push_back(std::move(call));
  }
  void say(const std::string& problem) {
    if (recording_.problem.empty()) recording_.problem = problem;
  }
  Recording& recording() {
    return recording_;
  }

 private:
  // A path that begins with no '/' is none of these tests'.
  static constexpr auto kHere = static_cast<std::uint64_t>(AT_FDCWD);

  struct Open {
    std::string path;
    std::uint64_t at = 0;
  };

  std::string read(std::uint64_t address, std::size_t bytes) {
    std::string content(bytes, '\0');
    const iovec to{content.data(), bytes};
    // An address of the other process.
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    const iovec from{reinterpret_cast<void*>(address), bytes};
    const ssize_t found = ::process_vm_readv(pid_, &to, 1, &from, 1, 0);
    content.resize(found < 0 ? 0 : static_cast<std::size_t>(found));
    return content;
  }
  std::string read_text(std::uint64_t address) {
    std::string text;
    for (;;) {
      const std::string more = read(address + text.size(), 1);
      if (more.empty() || more[0] == '\0') return text;
      text += more;
    }
  }
  std::string path_of(std::uint64_t directory, std::uint64_t name) {
    std::string text = read_text(name);
    if (text.starts_with('/')) return text;
    const auto open = descriptors_.find(static_cast<int>(directory));
    if (open == descriptors_.end()) return {};
    return text == "." ? open->second.path : open->second.path + "/" + text;
  }
  bool is_ours(const std::string& path) const {
    return path == root_ || path.starts_with(root_ + "/");
  }
  static std::string name_in(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
  }
  int directory_of(const std::string& path) {
    return objects_[path.substr(0, path.rfind('/'))];
  }

  void note(What what, const std::string& path) {
    recording_.calls.push_back({what, objects_.at(path), directory_of(path), name_in(path), {}, 0, {}});
  }
  void made(What what, const std::string& path) {
    objects_[path] = next_object_++;
    note(what, path);
  }
  void opened(const std::string& path, int flags, int fd) {
    if (!is_ours(path)) return;
    descriptors_[fd] = {path, 0};
    if ((flags & O_CREAT) == 0 || objects_.contains(path)) return;
    made(What::make_file, path);
  }
  void made_directory(const std::string& path) {
    if (is_ours(path)) made(What::make_directory, path);
  }
  void copied(std::uint64_t from, std::int64_t to) {
    const auto open = descriptors_.find(static_cast<int>(from));
    if (open != descriptors_.end()) descriptors_[static_cast<int>(to)] = open->second;
  }
  // At the descriptor's own place, which moves, or at another.
  void wrote(std::uint64_t fd, std::uint64_t address, std::size_t bytes, std::optional<std::uint64_t> at) {
    const auto open = descriptors_.find(static_cast<int>(fd));
    if (open == descriptors_.end()) return;
    note(What::write, open->second.path);
    recording_.calls.back().at = at.value_or(open->second.at);
    recording_.calls.back().bytes = read(address, bytes);
    if (!at) open->second.at += bytes;
  }
  // Of a file that nothing was written to.
  void cut(std::uint64_t fd, std::uint64_t bytes) {
    const auto open = descriptors_.find(static_cast<int>(fd));
    if (open == descriptors_.end()) return;
    const int object = objects_.at(open->second.path);
    const bool has_some = std::any_of(
        recording_.calls.begin(), recording_.calls.end(),
        [object](const DiskCall& call) { return call.what == What::write && call.object == object; });
    if (has_some || bytes != 0) say("a file was cut");
  }
  void synced(std::uint64_t fd) {
    const auto open = descriptors_.find(static_cast<int>(fd));
    if (open == descriptors_.end()) return;
    struct stat status {};
    const bool directory = ::stat(open->second.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    note(directory ? What::sync_directory : What::sync_file, open->second.path);
  }
  void renamed(const std::string& from, const std::string& to) {
    if (!is_ours(from) && !is_ours(to)) return;
    note(What::rename, from);
    recording_.calls.back().new_name = name_in(to);
    if (objects_.contains(to)) say("a rename took another file's place");
    objects_[to] = objects_.at(from);
    objects_.erase(from);
    for (auto& [fd, open] : descriptors_) {
      if (open.path == from) open.path = to;
    }
  }
  void linked(const std::string& from, const std::string& to) {
    if (!is_ours(from) && !is_ours(to)) return;
    note(What::link, from);
    recording_.calls.back().new_name = name_in(to);
    objects_[to] = objects_.at(from);
  }
  void removed(const std::string& path) {
    if (!is_ours(path)) return;
    note(What::remove, path);
    objects_.erase(path);
  }

  pid_t pid_;
  std::string root_;
  std::map<std::string, int> objects_;  // By their paths.
  int next_object_ = 1;
  std::map<int, Open> descriptors_;
  Recording recording_;
};

// False when the child is gone.
bool go_on(pid_t pid, int& status, int signal) {
  return ::ptrace(PTRACE_SYSCALL, pid, nullptr, signal) == 0 && ::waitpid(pid, &status, 0) == pid &&
         WIFSTOPPED(status);
}

std::optional<__ptrace_syscall_info> call_at(pid_t pid) {
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0) return std::nullopt;
  return info;
}

void follow(pid_t pid, Recorder& recorder) {
  int status = 0;
  Call call;
  int signal = 0;
  while (go_on(pid, status, signal)) {
    signal = 0;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
      signal = WSTOPSIG(status) == SIGCONT ? 0 : WSTOPSIG(status);
      continue;
    }
    const std::optional<__ptrace_syscall_info> info = call_at(pid);
    if (!info) return recorder.say("the kernel does not tell which call it is");
    if (info->op == PTRACE_SYSCALL_INFO_ENTRY) {
      call.number = info->entry.nr;
      std::copy(std::begin(info->entry.args), std::end(info->entry.args), std::begin(call.args));
      if (call.number == SYS_lseek && static_cast<int>(call.args[0]) == -1) recorder.mark(call.args[1]);
    } else if (info->op == PTRACE_SYSCALL_INFO_EXIT && info->exit.is_error == 0) {
      call.result = info->exit.rval;
      recorder.understand(call);
    }
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    recorder.say("the work ended with status " + std::to_string(status));
}

}  // namespace

void mark(std::uint64_t number) {
  ::lseek(-1, static_cast<off_t>(number), SEEK_SET);
}

Recording record(const std::filesystem::path& root, const std::function<void()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  Recorder recorder{pid, root.string()};
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
    recorder.say("this process may not trace its child");
    return std::move(recorder.recording());
  }
  ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  follow(pid, recorder);
  return std::move(recorder.recording());
}

}  // namespace sluice::test
