// SPDX-License-Identifier: Apache-2.0
#include "death/coroner.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "death/backtrace.hpp"
#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>

namespace sluice::detail {
namespace {

enum ExaminerStatus : int { kReported = 0, kSpared = 1, kFailed = 2 };

bool is_dead(int pidfd) noexcept {
  pollfd entry{pidfd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

// One write, so that lines of several writers do not mix. Allocates only to make the directory.
bool append_line(const std::string& path, std::string_view fields, std::string_view more) noexcept {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
  int fd = ::open(path.c_str(), kFlags, 0600);
  if (fd < 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), error);
    fd = ::open(path.c_str(), kFlags, 0600);
  }
  if (fd < 0) return false;
  const auto part = [](std::string_view text) { return iovec{const_cast<char*>(text.data()), text.size()}; };
  const bool both = !fields.empty() && !more.empty();
  const iovec parts[] = {part("{"), part(fields), part(both ? "," : ""), part(more), part("}\n")};
  const ssize_t written = ::writev(fd, parts, static_cast<int>(std::size(parts)));
  ::close(fd);
  return written == static_cast<ssize_t>(3 + fields.size() + more.size() + (both ? 1 : 0));
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += fmt::format("\\{}", c);
    } else if (static_cast<unsigned char>(c) < ' ') {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      json += c;
    }
  }
  json += '"';
  return json;
}

namespace {

// A text of lines as a field that holds a list of them.
std::string json_lines(std::string_view name, std::string_view text) {
  std::string json;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!json.empty()) json += ',';
    json += json_text(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fmt::format("\"{}\":[{}]", name, json);
}

void make_independent(bool in_a_hurry) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  set_process_name(kCoronerName);
  // A debug library that asks a server would keep a worker waiting for its end.
  ::unsetenv("DEBUGINFOD_URLS");
  for (int signal = 1; signal < NSIG; ++signal)
    std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // A stack that is out of order may lead the unwinder anywhere.
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  constexpr auto kSeconds = std::chrono::duration_cast<std::chrono::seconds>(Coroner::kExamination);
  const itimerval end{{0, 0}, {kSeconds.count(), 0}};
  ::setitimer(ITIMER_REAL, &end, nullptr);
  if (!in_a_hurry) take_ease(Sharing::alone);
}

ExaminerStatus work(const Examination& examination, const std::string& path) {
  std::string more;
  if (!examination.addresses.empty()) more = json_lines("backtrace", symbolize(examination.addresses));
  ExaminerStatus status = kReported;
  if (examination.pid != 0) {
    // The kill waits for the capture; what is left is for the names, which nobody waits for.
    constexpr std::chrono::milliseconds kMargin{100};
    const auto carry_out = [&] {
      if (!examination.sentence) return;
      // relaxed: the process stands still, and was seen to do so by the kernel.
      const Sentence& sentence = *examination.sentence;
      if (sentence.progress->load(std::memory_order_relaxed) != sentence.event) {
        status = kSpared;
      } else {
        ::syscall(SYS_pidfd_send_signal, examination.pidfd, SIGKILL, nullptr, 0);
      }
      take_ease(Sharing::alone);  // Nobody waits for the names.
    };
    const bool was_dead = is_dead(examination.pidfd);
    const std::string stacks =
        was_dead ? "it is gone\n" : stacks_of(examination.pid, Coroner::kCapture - kMargin, carry_out);
    if (!more.empty()) more += ',';
    more += json_lines("stacks", stacks);
    if (status == kSpared) more += ",\"spared\":true";
  }
  return append_line(path, examination.fields_json, more) ? status : kFailed;
}

}  // namespace

void Coroner::show_in(int epoll, std::uint64_t event) noexcept {
  epoll_ = epoll;
  event_ = event;
}

bool Coroner::examine(const Examination& examination, const std::string& path) noexcept {
  if (path.empty()) return false;
  const auto free =
      std::find_if(at_work_.begin(), at_work_.end(), [](const AtWork& each) { return each.pidfd.get() < 0; });
  const bool needed = examination.pid != 0 || !examination.addresses.empty();
  const pid_t master = ::getpid();
  const pid_t pid = needed && free != at_work_.end() ? ::fork() : -1;
  if (pid == 0) {
    make_independent(examination.sentence.has_value());
    if (::getppid() != master) ::_exit(kFailed);
    ExaminerStatus status = kFailed;
    try {
      status = work(examination, path);
    } catch (const std::exception&) {
      // The master writes the line.
    }
    ::_exit(status);
  }
  Descriptor pidfd{pid < 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  epoll_event event{EPOLLIN, {.u64 = event_}};
  if (pidfd.get() < 0 || (epoll_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, pidfd.get(), &event) != 0)) {
    if (pid > 0) {
      ::kill(pid, SIGKILL);  // A child that is not reaped yet: the pid is its own.
      ::waitpid(pid, nullptr, 0);
    }
    // Too many are at work already, or there is no process to be had.
    std::string more;
    if (!examination.addresses.empty()) more = json_lines("backtrace", places_of(examination.addresses));
    if (examination.pid != 0) more = "\"stacks\":[\"too much was going on\"]";
    append_line(path, examination.fields_json, more);
    return false;
  }
  free->pidfd = std::move(pidfd);
  free->examined = examination.pid;
  free->fields = examination.fields_json;
  free->path = path;
  return true;
}

std::optional<Coroner::Finished> Coroner::next_finished() noexcept {
  for (AtWork& each : at_work_) {
    if (each.pidfd.get() >= 0 && is_dead(each.pidfd.get())) return reap(each);
  }
  return std::nullopt;
}

Coroner::Finished Coroner::reap(AtWork& at_work) noexcept {
  siginfo_t info{};
  const bool reaped =
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(at_work.pidfd.get()), &info, WEXITED) == 0;
  // Closing is not enough: the workers inherited the description, and epoll would go on reporting it.
  if (epoll_ >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, at_work.pidfd.get(), nullptr);
  at_work.pidfd.reset();
  const bool exited = reaped && info.si_code == CLD_EXITED;
  Finished finished{at_work.examined, Outcome::failed};
  if (exited && info.si_status == kReported) finished.outcome = Outcome::reported;
  if (exited && info.si_status == kSpared) finished.outcome = Outcome::spared;
  if (finished.outcome == Outcome::failed) {
    append_line(at_work.path, at_work.fields, "\"stacks\":[\"the examination did not end in time\"]");
  }
  return finished;
}

void Coroner::finish(std::chrono::milliseconds limit) noexcept {
  const auto until = std::chrono::steady_clock::now() + limit;
  for (AtWork& each : at_work_) {
    if (each.pidfd.get() < 0) continue;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd entry{each.pidfd.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    send_signal(each.pidfd, SIGKILL);
    reap(each);
  }
}

}  // namespace sluice::detail
