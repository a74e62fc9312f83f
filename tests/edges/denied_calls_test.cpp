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
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

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

// What a run comes to whose processes are denied a call; the text of an Error goes to `said`.
template <typename Run>
int run_without(const Denial& denial, int said, const Run& run) {
  if (!deny(denial)) return kNoFilter;
  try {
    return run() ? kRight : kWrong;
  } catch (const Error& error) {
    const std::string text = error.what();
    return ::write(said, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? kRefused : kWrong;
  }
}

Pipeline mortal_pipeline() {
  Pipeline pipeline{"denied"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal").outlet("out");
  return pipeline;
}

bool run_in_memory(const std::string& directory) {
  Settings settings = test_settings();
  settings.set("report.path", directory + "/reports");
  settings.set("observe.socket", "off");
  return run_processes<Item>(mortal_pipeline(), items(300, 1), settings) == items(300, 1);
}

// Two lives with checkpoints and a door for observers, and with a file or without; what a life has not given is there in the
// next.
template <bool kFile>
bool run_kept(const std::string& directory) {
  Settings settings = test_settings();
  settings.set("report.path", directory + "/reports");
  if (kFile) settings.set("segment.path", directory + "/segment");
  // By a process of its own, which has whatever the master had open when it was forked.
  if (!kFile && ::geteuid() == 0) settings.set("memory.lock", "yes");
  settings.set("checkpoint.path", directory + "/checkpoints");
  settings.set("checkpoint.every", "10ms");
  const Pipeline pipeline = mortal_pipeline();
  std::vector<Item> taken;
  const auto take = [&](const Item& item) { taken.push_back(item); };
  const std::vector<Item> all = items(300, 1);
  {
    Engine engine{pipeline, settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    auto out = engine.outlet<Item>("out");
    for (const Item& item : all)
      if (in.push(item) != PushResult::accepted) return false;
    while (taken.size() < 200)
      if (out.poll(take, 200 - taken.size()) == 0) std::this_thread::sleep_for(1ms);
    out.ack();
    const auto checked = [&] {
      const CheckpointStats& checkpoints = engine.stats().checkpoints;
      return checkpoints.written > 0 || !checkpoints.failure.empty();
    };
    while (!checked())
      std::this_thread::sleep_for(1ms);
    engine.park();
    if (engine.end() != End::parked) return false;
  }
  Engine engine{pipeline, settings};
  engine.start();
  if (!engine.resumed()) return false;
  engine.inlet<Item>("in").close();
  auto out = engine.outlet<Item>("out");
  while (!out.ended())
    if (out.poll(take) == 0) std::this_thread::sleep_for(1ms);
  engine.wait();
  return taken == all;
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

// In a process and a session of its own.
void expect_right_or_refused(const Denial& denial, bool (*run)(const std::string& directory)) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-denied-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    ::_exit(run_without(denial, ends[1], [&] { return run(directory); }));
  }
  ::close(ends[1]);
  int status = -1;
  const bool ended = eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; });
  const bool alone = ended && eventually([&] { return session(child).empty(); }, 30s);
  for (const pid_t left : session(child))
    ::kill(left, SIGKILL);
  if (!ended) ::waitpid(child, &status, 0);
  EXPECT_TRUE(ended) << "it hangs";
  EXPECT_TRUE(alone) << "it leaves processes behind";
  clear_away(directory);
  char text[4096] = {};
  const ssize_t bytes = ::read(ends[0], text, sizeof(text) - 1);
  ::close(ends[0]);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoFilter) GTEST_SKIP() << "no filter of system calls can be had here";
  ASSERT_THAT(WEXITSTATUS(status), testing::AnyOf(kRight, kRefused));
  std::cout << (bytes > 0 ? text : "does without it") << '\n';
  if (WEXITSTATUS(status) == kRefused) {
    EXPECT_THAT(std::string{text}, HasSubstr(std::strerror(denial.error))) << "says what the kernel said";
  }
}

class DeniedCall : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCall, IsDoneWithoutOrRefusedAtTheStart) {
  expect_right_or_refused(GetParam(), run_in_memory);
}

using Calls = std::vector<std::pair<const char*, long>>;
std::vector<Denial> with_both_errors(const Calls& calls) {
  std::vector<Denial> all;
  for (const auto& [name, call] : calls) {
    for (const int error : {ENOSYS, EPERM})
      all.push_back({name, call, error});
  }
  return all;
}

std::vector<Denial> denials() {
  return with_both_errors({
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
  });
}

std::string name_of(const testing::TestParamInfo<Denial>& test) {
  return std::string{test.param.name} + (test.param.error == EPERM ? "_EPERM" : "_ENOSYS");
}
INSTANTIATE_TEST_SUITE_P(Kernel, DeniedCall, testing::ValuesIn(denials()), name_of);

// Of a pipeline that is kept: files, checkpoints, observers.
class DeniedCallOfAKept : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCallOfAKept, LosesNothingAcrossAParkOrIsRefused) {
  expect_right_or_refused(GetParam(), run_kept<true>);
}

// Checkpoints are all that is kept, and their process is ended by the master.
class DeniedCallOfCheckpoints : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCallOfCheckpoints, LosesNothingAcrossAParkOrIsRefused) {
  expect_right_or_refused(GetParam(), run_kept<false>);
}

// Nobody has tried the sockets before, as who opens the log does. What is said in the end is why there is no checkpoint.
bool run_without_log(const std::string& directory) {
  Settings settings = test_settings();
  settings.set("log.level", "off");
  settings.set("observe.socket", "off");
  settings.set("report.path", directory + "/reports");
  settings.set("checkpoint.path", directory + "/checkpoints");
  settings.set("checkpoint.every", "10ms");
  Engine engine{mortal_pipeline(), settings};
  engine.start();
  if (engine.inlet<Item>("in").push({0, 1}) != PushResult::accepted) return false;
  std::string failure;
  while ((failure = engine.stats().checkpoints.failure).empty())
    std::this_thread::sleep_for(1ms);
  engine.stop();
  throw Error{{"write", "a checkpoint", failure, ""}};
}

class DeniedWordToTheCheckpointer : public testing::TestWithParam<Denial> {};

TEST_P(DeniedWordToTheCheckpointer, IsNamedAsWhyThereAreNone) {
  expect_right_or_refused(GetParam(), run_without_log);
}

TEST(DeniedSockets, LeaveAPipelineUnobservedAndItSaysSo) {
  int log[2];
  ASSERT_EQ(::pipe(log), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(run_without({"socket", SYS_socket, EPERM}, STDERR_FILENO, [&] {
      Engine engine{mortal_pipeline(), test_settings()};
      engine.log_to(log[1]);
      engine.start();
      engine.drain();
      engine.wait();
      return true;
    }));
  }
  ::close(log[1]);
  int status = -1;
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
  if (WEXITSTATUS(status) == kNoFilter) GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_EQ(status, 0);
  // The end comes with that of its log writer.
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(log[0], piece, sizeof(piece))) > 0;)
    text.append(piece, static_cast<std::size_t>(got));
  EXPECT_THAT(text, AllOf(HasSubstr("nobody can look at this pipeline"), HasSubstr(std::strerror(EPERM))));
  ::close(log[0]);
}

class DeniedMemory : public testing::TestWithParam<Denial> {};
TEST_P(DeniedMemory, IsRefusedWithTheNameOfTheCall) {
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run_without(GetParam(), said[1], [] { return run_in_memory("/tmp"); }));
  ::close(said[1]);
  int status = -1;
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
  char text[4096] = {};
  std::ignore = ::read(said[0], text, sizeof(text) - 1);
  ::close(said[0]);
  if (WEXITSTATUS(status) == kNoFilter) GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_THAT(std::string{text}, HasSubstr("allow " + std::string{GetParam().name} + " in the filter"));
}
INSTANTIATE_TEST_SUITE_P(Kernel, DeniedMemory,
                         testing::ValuesIn(with_both_errors({{"memfd_create", SYS_memfd_create},
                                                             {"fallocate", SYS_fallocate},
                                                             {"madvise", SYS_madvise},
                                                             {"mprotect", SYS_mprotect}})),
                         name_of);

std::vector<Denial> denials_of_kept() {
  return with_both_errors({
      {"openat", SYS_openat},
      {"mkdirat", SYS_mkdirat},
#ifdef SYS_mkdir
      {"mkdir", SYS_mkdir},
#endif
      {"renameat", SYS_renameat},
      {"renameat2", SYS_renameat2},
      {"linkat", SYS_linkat},
      {"unlinkat", SYS_unlinkat},
      {"newfstatat", SYS_newfstatat},
      {"statx", SYS_statx},
      {"statfs", SYS_statfs},
      {"fstatfs", SYS_fstatfs},
      {"fchmod", SYS_fchmod},
      {"flock", SYS_flock},
      {"fcntl", SYS_fcntl},
      {"ftruncate", SYS_ftruncate},
      {"fallocate", SYS_fallocate},
      {"fsync", SYS_fsync},
      {"pread64", SYS_pread64},
      {"pwrite64", SYS_pwrite64},
      {"writev", SYS_writev},
      {"dup3", SYS_dup3},
      {"getdents64", SYS_getdents64},
      {"readlinkat", SYS_readlinkat},
      {"mremap", SYS_mremap},
      {"madvise", SYS_madvise},
      {"userfaultfd", SYS_userfaultfd},
      {"ioctl", SYS_ioctl},
      {"socket", SYS_socket},
      {"socketpair", SYS_socketpair},
      {"bind", SYS_bind},
      {"listen", SYS_listen},
      {"accept4", SYS_accept4},
      {"getsockopt", SYS_getsockopt},
      {"setsockopt", SYS_setsockopt},
      {"sendmsg", SYS_sendmsg},
      {"recvmsg", SYS_recvmsg},
      {"sendto", SYS_sendto},
      {"recvfrom", SYS_recvfrom},
      {"timerfd_create", SYS_timerfd_create},
      {"getrandom", SYS_getrandom},
      {"process_vm_readv", SYS_process_vm_readv},
      {"ptrace", SYS_ptrace},
      {"kill", SYS_kill},
      {"tgkill", SYS_tgkill},
      {"setpriority", SYS_setpriority},
      {"prlimit64", SYS_prlimit64},
      {"pipe2", SYS_pipe2},
      {"eventfd2", SYS_eventfd2},
      {"epoll_pwait2", SYS_epoll_pwait2},
      {"pidfd_open", SYS_pidfd_open},
      {"pidfd_getfd", SYS_pidfd_getfd},
      {"waitid", SYS_waitid},
      {"mprotect", SYS_mprotect},
      {"membarrier", SYS_membarrier},
  });
}
INSTANTIATE_TEST_SUITE_P(Kernel, DeniedCallOfCheckpoints,
                         testing::ValuesIn(with_both_errors({{"kill", SYS_kill},
                                                             {"socketpair", SYS_socketpair},
                                                             {"process_vm_readv", SYS_process_vm_readv},
                                                             {"fsync", SYS_fsync},
                                                             {"renameat", SYS_renameat},
                                                             {"pwrite64", SYS_pwrite64}})),
                         name_of);
INSTANTIATE_TEST_SUITE_P(
    Kernel, DeniedWordToTheCheckpointer,
    testing::ValuesIn(with_both_errors({{"sendto", SYS_sendto}, {"recvfrom", SYS_recvfrom}})), name_of);
INSTANTIATE_TEST_SUITE_P(Kernel, DeniedCallOfAKept, testing::ValuesIn(denials_of_kept()), name_of);

}  // namespace
}  // namespace sluice::test
