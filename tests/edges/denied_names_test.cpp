// SPDX-License-Identifier: Apache-2.0
// A start that is denied a call says which, and that a filter has to allow it: no room, limit or permission helps then.
#include <poll.h>

#include "denied_call.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

class DeniedMemory : public testing::TestWithParam<Denial> {};
TEST_P(DeniedMemory, IsRefusedWithTheNameOfTheCall) {
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run_without(GetParam(), said[1], [] { return run_in_memory("/tmp"); }));
  ::close(said[1]);
  int status = -1;
  if (!eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; })) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    ::close(said[0]);
    FAIL() << "it hangs";
  }
  char text[4096] = {};
  // Whoever it has forked may have the other end open.
  pollfd there{said[0], POLLIN, 0};
  if (::poll(&there, 1, 5'000) == 1) std::ignore = ::read(said[0], text, sizeof(text) - 1);
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

bool run_named(const std::string& directory) {
  Settings settings = test_settings();
  settings.set("segment.path", directory + "/segment");
  return run_processes<Item>(mortal_pipeline(), items(3, 1), settings) == items(3, 1);
}

TEST(DeniedLook, AtTheThreadsOfAHostIsNotTakenForWantOfAProc) {
  expect_right_or_refused({"fcntl", SYS_fcntl, EPERM}, run_in_memory, "fcntl and getdents64 in the filter");
}

class DeniedLock : public testing::TestWithParam<Denial> {};
TEST_P(DeniedLock, IsRefusedWithTheNameOfTheCall) {
  for (const auto& run : {run_kept<true>, run_kept<false>, run_named})
    expect_right_or_refused(GetParam(), run, "allow flock in the filter");
}
INSTANTIATE_TEST_SUITE_P(Kernel, DeniedLock, testing::ValuesIn(with_both_errors({{"flock", SYS_flock}})),
                         name_of);

}  // namespace
}  // namespace sluice::test
