// SPDX-License-Identifier: Apache-2.0
// Kernels and filters of system calls that say no. Each call that a pipeline makes on its way is denied in turn, to
// all of its processes. What comes of it is the right answer or an Error of the start, and never a process that
// hangs, is killed or stays behind.
#include "denied_call.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DeniedCall : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCall, IsDoneWithoutOrRefusedAtTheStart) {
  expect_right_or_refused(GetParam(), run_in_memory);
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
