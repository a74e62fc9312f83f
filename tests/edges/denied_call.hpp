// SPDX-License-Identifier: Apache-2.0
// Denies a call to a process and to all that it starts, and what a pipeline makes of that.
#pragma once

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

struct Denial {
  const char* name;
  long call;
  int error;
};
inline void PrintTo(const Denial& denial, std::ostream* out) {
  *out << denial.name << (denial.error == EPERM ? ", EPERM" : ", ENOSYS");
}

// From now on this process and all that it starts get `error` for that call.
inline bool deny(const Denial& denial) {
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

inline constexpr int kRight = 0;
inline constexpr int kRefused = 3;
inline constexpr int kWrong = 4;
inline constexpr int kNoFilter = 5;

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

inline Pipeline mortal_pipeline() {
  Pipeline pipeline{"denied"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal").outlet("out");
  return pipeline;
}

inline bool run_in_memory(const std::string& directory) {
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
inline std::vector<pid_t> session(pid_t leader) {
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
inline void expect_right_or_refused(const Denial& denial, bool (*run)(const std::string& directory),
                                    const char* advice = nullptr) {
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
    EXPECT_THAT(std::string{text}, ::testing::HasSubstr(std::strerror(denial.error)))
        << "says what the kernel said";
  }
  if (advice != nullptr) {
    EXPECT_THAT(std::string{text}, ::testing::HasSubstr(advice));
  }
}

using Calls = std::vector<std::pair<const char*, long>>;
inline std::vector<Denial> with_both_errors(const Calls& calls) {
  std::vector<Denial> all;
  for (const auto& [name, call] : calls) {
    for (const int error : {ENOSYS, EPERM})
      all.push_back({name, call, error});
  }
  return all;
}

inline std::string name_of(const testing::TestParamInfo<Denial>& test) {
  return std::string{test.param.name} + (test.param.error == EPERM ? "_EPERM" : "_ENOSYS");
}

}  // namespace sluice::test
