// SPDX-License-Identifier: Apache-2.0
// Kernels and filters of system calls that say no. Each call that a pipeline makes on its way is denied in turn, to
// all of its processes. What comes of it is the right answer or an Error of the start, and never a process that
// hangs, is killed or stays behind.

#include <cstddef>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

struct Denial {
  const char* name;
  long call;
  int error;
};
void PrintTo(const Denial& denial, std::ostream* out) {
  *out << denial.name << (denial.error == EPERM ? ", EPERM" : ", ENOSYS");
}

// From now on this process and all that it starts get `error` for that call.
bool deny(const Denial& denial) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(denial.call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(denial.error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Echoes items; the first process of it is killed on its way.
struct Mortal {
  explicit Mortal(Worker& worker) : first{worker.incarnation() == 1} {}
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (first && item.number == 150) ::raise(SIGKILL);
  }
  bool first;
};

constexpr int kRight = 0;
constexpr int kRefused = 3;
constexpr int kWrong = 4;
constexpr int kNoFilter = 5;

// What a pipeline comes to whose processes are denied a call; the text of an Error goes to `said`.
int run_without(const Denial& denial, const std::string& reports, int said) {
  if (!deny(denial)) return kNoFilter;
  try {
    Settings settings = test_settings();
    settings.set("report.path", reports);
    settings.set("observe.socket", "off");
    Pipeline pipeline{"denied"};
    pipeline.inlet<Item>("in").to<Mortal>("mortal").outlet("out");
    return run_processes<Item>(pipeline, items(300, 1), settings) == items(300, 1) ? kRight : kWrong;
  } catch (const Error& error) {
    const std::string text = error.what();
    return ::write(said, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? kRefused : kWrong;
  }
}

// All processes of this machine that belong to a session.
std::vector<pid_t> session(pid_t leader) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const auto pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (pid <= 0 || !is_alive(pid)) continue;
    const std::vector<std::string> fields = stat_of(pid);
    if (fields.size() > 3 && fields[3] == std::to_string(leader)) found.push_back(pid);
  }
  return found;
}

class DeniedCall : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCall, IsDoneWithoutOrRefusedAtTheStart) {
  std::string reports = (std::filesystem::temp_directory_path() / "sluice-denied-XXXXXX").string();
  ASSERT_NE(::mkdtemp(reports.data()), nullptr);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    ::_exit(run_without(GetParam(), reports, ends[1]));
  }
  ::close(ends[1]);
  int status = -1;
  const bool ended = eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }, 30s);
  const bool alone = ended && eventually([&] { return session(child).empty(); }, 10s);
  for (const pid_t left : session(child))
    ::kill(left, SIGKILL);
  if (!ended) ::waitpid(child, &status, 0);
  EXPECT_TRUE(ended) << "it hangs";
  EXPECT_TRUE(alone) << "it leaves processes behind";
  std::filesystem::remove_all(reports);
  char text[4096] = {};
  const ssize_t bytes = ::read(ends[0], text, sizeof(text) - 1);
  ::close(ends[0]);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoFilter) GTEST_SKIP() << "no filter of system calls can be had here";
  ASSERT_THAT(WEXITSTATUS(status), testing::AnyOf(kRight, kRefused));
  std::cout << (bytes > 0 ? text : "does without it") << '\n';
  if (WEXITSTATUS(status) == kRefused) {
    EXPECT_THAT(text, testing::HasSubstr(std::strerror(GetParam().error))) << "says what the kernel said";
  }
}

std::vector<Denial> denials() {
  const std::pair<const char*, long> calls[] = {
      {"pidfd_open", SYS_pidfd_open},
      {"pidfd_send_signal", SYS_pidfd_send_signal},
      {"close_range", SYS_close_range},
      {"waitid", SYS_waitid},
      {"wait4", SYS_wait4},
      {"epoll_create1", SYS_epoll_create1},
      {"epoll_ctl", SYS_epoll_ctl},
      {"epoll_pwait", SYS_epoll_pwait},
      {"epoll_pwait2", SYS_epoll_pwait2},
      {"ppoll", SYS_ppoll},
#ifdef SYS_poll  // 64-bit ARM has neither.
      {"poll", SYS_poll},
      {"epoll_wait", SYS_epoll_wait},
#endif
      {"memfd_create", SYS_memfd_create},
      {"ftruncate", SYS_ftruncate},
      {"fallocate", SYS_fallocate},
      {"eventfd2", SYS_eventfd2},
      {"pipe2", SYS_pipe2},
      {"fcntl", SYS_fcntl},
      {"membarrier", SYS_membarrier},
      {"mprotect", SYS_mprotect},
      {"madvise", SYS_madvise},
      {"mbind", SYS_mbind},
      {"get_mempolicy", SYS_get_mempolicy},
      {"sched_setaffinity", SYS_sched_setaffinity},
      {"sched_getaffinity", SYS_sched_getaffinity},
      {"sched_setattr", SYS_sched_setattr},
      {"sched_getscheduler", SYS_sched_getscheduler},
      {"prctl", SYS_prctl},
      {"unshare", SYS_unshare},
      {"sigaltstack", SYS_sigaltstack},
      {"rt_sigaction", SYS_rt_sigaction},
      {"clone", SYS_clone},
      {"getdents64", SYS_getdents64},
      {"fstatfs", SYS_fstatfs},
      {"clock_nanosleep", SYS_clock_nanosleep},
  };
  std::vector<Denial> all;
  for (const auto& [name, call] : calls) {
    for (const int error : {ENOSYS, EPERM})
      all.push_back({name, call, error});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernel, DeniedCall, testing::ValuesIn(denials()), [](const auto& test) {
  return std::string{test.param.name} + (test.param.error == EPERM ? "_EPERM" : "_ENOSYS");
});

}  // namespace
}  // namespace sluice::test
