// SPDX-License-Identifier: Apache-2.0
// Replacements in address spaces of their own: what an attacker learns from one life is worth nothing in the next, and nothing
// else changes.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <optional>
#include <random>
#include <set>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/sanitizers.hpp>
#include <sluice/ipc/segment.hpp>

#include "executed_program.hpp"
#include "guarded_buffer.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::size_t kLives = 6;

// A pipeline and who attacks it, one question after the other.
class Attacked {
 public:
  explicit Attacked(const Settings& settings) : engine_{build_victims(0, nullptr), settings} {
    engine_.start();
    in_.emplace(engine_.inlet<Deed>("in"));
    out_.emplace(engine_.outlet<Leak>("out"));
  }
  Engine& engine() { return engine_; }
  std::uint32_t push(Deed::What what) {
    EXPECT_EQ(in_->push(Deed{what, pushed_}), PushResult::accepted);
    return pushed_++;
  }
  // All that have come by now.
  std::vector<Leak> take() {
    std::vector<Leak> came;
    out_->poll([&](const Leak& leak) { came.push_back(leak); });
    out_->ack();
    return came;
  }
  Leak tell() {
    const std::uint32_t number = push(Deed::What::tell);
    std::vector<Leak> came;
    EXPECT_TRUE(eventually([&] { return !(came = take()).empty(); }));
    if (came.empty()) return {};
    EXPECT_EQ(came.front().number, number);
    return came.front();
  }
  void kill() {
    EXPECT_TRUE(eventually([&] { return engine_.signal_worker("victim/0", SIGKILL); }));
  }
  void end() {
    in_->close();
    EXPECT_TRUE(engine_.wait_for(kDeadline));
  }

 private:
  Engine engine_;
  std::optional<Inlet<Deed>> in_;
  std::optional<Outlet<Leak>> out_;
  std::uint32_t pushed_ = 0;
};

class ExecutedReplacement : public WithOutside {
 protected:
  ~ExecutedReplacement() override {
    ::unsetenv(kTwist);
    ::unsetenv(kWhen);
  }
  Settings tries(const std::vector<std::string>& more = {}) const {
    Settings settings =
        this->settings({"poison.attempts=1", "poison.budget=1000", "batch.events=1", "crash.budget=1000",
                        "restart.backoff=1ms", "restart.backoff_max=1ms", "log.level=off"});
    for (const std::string& assignment : more)
      settings.set_assignment(assignment);
    return settings;
  }
  // From the time on at which there is the file `when`.
  void twist(const char* how) const {
    ::setenv(kTwist, how, 1);
    ::setenv(kWhen, file("when").c_str(), 1);
  }
  void now() const { std::ofstream{file("when")} << "now"; }
  // What ends the pipeline once its worker has died, with so many restarts.
  std::string end_of_twisted(const char* how, const std::string& budget) const {
    twist(how);
    Attacked attacked{tries({"restart.budget=" + budget})};
    now();
    attacked.kill();
    return error_of([&] { attacked.end(); });
  }
  template <class T>
  static std::set<T> each(const std::vector<Leak>& leaks, T Leak::*what) {
    std::set<T> values;
    for (const Leak& leak : leaks)
      values.insert(leak.*what);
    return values;
  }
  static bool addresses_are_drawn() {
    std::ifstream file{"/proc/sys/kernel/randomize_va_space"};
    int how = 0;
    return file >> how && how == 2 && (::personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0;
  }
};

TEST_F(ExecutedReplacement, HasOtherAddressesAndAnotherCanaryInEachLife) {
  if (!addresses_are_drawn()) GTEST_SKIP() << "this process has addresses that are not drawn";
  Attacked attacked{tries()};
  std::vector<Leak> leaks;
  for (std::size_t life = 0; life < kLives; ++life) {
    leaks.push_back(attacked.tell());
    attacked.push(Deed::What::die);
  }
  attacked.end();
  EXPECT_THAT(each(leaks, &Leak::pid), SizeIs(kLives));
  EXPECT_THAT(each(leaks, &Leak::code), SizeIs(kLives));
#if !SLUICE_ADDRESS_SANITIZER && !SLUICE_THREAD_SANITIZER
  EXPECT_THAT(each(leaks, &Leak::heap), SizeIs(kLives)) << "a sanitizer has a place of its own for it";
#endif
  EXPECT_THAT(each(leaks, &Leak::stack), SizeIs(kLives));
  EXPECT_THAT(each(leaks, &Leak::library), SizeIs(kLives));
  EXPECT_THAT(each(leaks, &Leak::event), SizeIs(kLives)) << "the segment";
  if (canary_now() != 0) {
    EXPECT_THAT(each(leaks, &Leak::canary), SizeIs(kLives));
  }
  for (std::size_t life = 0; life < kLives; ++life) {
    EXPECT_EQ(leaks[life].made_by, life == 0 ? 0U : 1U) << "its own main has made the pipeline";
    EXPECT_EQ(leaks[life].nth, life) << "its state is that of its predecessor";
    EXPECT_EQ(leaks[life].memory, 0U) << "nothing by which the segment could be mapped for writing";
  }
}

TEST_F(ExecutedReplacement, TellsTheFunctionThatCrashedByItsName) {
  Attacked attacked{tries()};
  attacked.kill();
  attacked.tell();
  attacked.push(Deed::What::die);
  attacked.push(Deed::What::die);
  attacked.tell();
  attacked.end();
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(2));
  for (const DeadLetter& letter : letters)
    EXPECT_THAT(named_backtrace(letter), HasSubstr("die_in_the_victim"));
}

// Each number once, in order, whatever is killed when: in its handler, in the midst of its execution, of its main.
void kill_at_any_time(const Settings& settings, int most) {
  constexpr std::uint32_t kAhead = 100;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  Attacked attacked{settings};
  std::uint32_t pushed = 0;
  std::uint32_t taken = 0;
  int kills = 0;
  int wrong = 0;
  std::set<std::int64_t> lives;
  const auto take = [&] {
    for (const Leak& leak : attacked.take()) {
      wrong += leak.number != taken || leak.nth != taken;
      lives.insert(leak.pid);
      ++taken;
    }
  };
  // Most of them before it is at work: the life of a replacement is some milliseconds old then.
  std::uniform_int_distribution<int> microseconds{0, 4000};
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  while (kills < most && std::chrono::steady_clock::now() < until) {
    const auto next = std::chrono::steady_clock::now() + std::chrono::microseconds{microseconds(random)};
    while (std::chrono::steady_clock::now() < next) {
      if (pushed < taken + kAhead) pushed = attacked.push(Deed::What::ignore) + 1;
      take();
    }
    kills += attacked.engine().signal_worker("victim/0", SIGKILL) ? 1 : 0;
  }
  EXPECT_TRUE(eventually([&] {
    take();
    return taken == pushed;
  }));
  attacked.end();
  EXPECT_EQ(kills, most);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(taken, pushed);
}

TEST_F(ExecutedReplacement, LosesAndRepeatsNothingWhenItIsKilledAtAnyTime) {
  kill_at_any_time(tries({"restart.budget=100000", "batch.events=8"}), 200);
}

TEST_F(ExecutedReplacement, DoesSoWithAFileOfItsMemoryAndCheckpoints) {
  Settings settings =
      tries({"restart.budget=100000", "batch.events=8", "checkpoint.every=5ms", "checkpoint.sync=no"});
  settings.set("segment.path", file("segment"));
  settings.set("checkpoint.path", file("checkpoints"));
  kill_at_any_time(settings, 40);
}

TEST_F(ExecutedReplacement, IsAlsoTheFirstLifeOfAStartThatGoesOn) {
  Settings settings = tries();
  settings.set("segment.path", file("segment"));
  {
    Attacked attacked{settings};
    attacked.tell();
    attacked.tell();
    attacked.engine().park();
  }
  Attacked attacked{settings};
  const Leak leak = attacked.tell();
  EXPECT_EQ(leak.nth, 2U);
  EXPECT_EQ(leak.made_by, 1U);
  attacked.end();
}

TEST_F(ExecutedReplacement, IsFoundByTheNextMaster) {
  Attacked attacked{tries()};
  attacked.kill();
  const auto worker = static_cast<pid_t>(attacked.tell().pid);
  const pid_t master = parent_of(worker);
  ::kill(master, SIGKILL);
  EXPECT_TRUE(eventually([&] { return parent_of(worker) != master; }));
  EXPECT_EQ(attacked.tell().pid, worker) << "it lives on";
  attacked.kill();
  const Leak next = attacked.tell();
  EXPECT_NE(next.pid, worker);
  EXPECT_EQ(next.made_by, 1U);
  EXPECT_EQ(next.nth, 2U);
  attacked.end();
}

TEST_F(ExecutedReplacement, DiesWithTheLastOfMasterAndSupervisor) {
  Attacked attacked{tries()};
  attacked.kill();
  const auto worker = static_cast<pid_t>(attacked.tell().pid);
  const pid_t master = parent_of(worker);
  const pid_t supervisor = parent_of(master);
  ASSERT_EQ(parent_of(supervisor), ::getpid());
  for (const int signal : {SIGSTOP, SIGKILL}) {
    ::kill(supervisor, signal);
    ::kill(master, signal);
    EXPECT_TRUE(signal == SIGKILL ||
                eventually([&] { return is_stopped(supervisor) && is_stopped(master); }));
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(worker); }));
  EXPECT_NE(error_of([&] { attacked.end(); }), "");
}

TEST_F(ExecutedReplacement, IsRefusedForGoodWhenItsMainMakesAnotherPipeline) {
  EXPECT_THAT(end_of_twisted("differ", "1000"),
              AllOf(HasSubstr("victim/0"), HasSubstr("makes another pipeline"), HasSubstr("stage other")));
}

TEST_F(ExecutedReplacement, IsOfOnePipelineOnlyInAProgram) {
  Pipeline strangers{"strangers"};
  strangers.inlet<Item>("in").to<Echo>("echo", {.hostile_input = true}).outlet("out");
  Attacked first{tries()};
  Attacked second{tries({"lane.slots=64"})};
  EXPECT_THAT(error_of([&] {
                Engine{strangers, tries()}.start();
              }),
              AllOf(HasSubstr("so has the pipeline victims"), HasSubstr("in a program of its own")));
  for (Attacked* each : {&first, &second}) {
    each->kill();
    EXPECT_EQ(each->tell().made_by, 1U);
    each->end();
  }
}

TEST_F(ExecutedReplacement, WhoseMainThrowsIsTriedAsOftenAsTheBudgetSays) {
  EXPECT_THAT(
      end_of_twisted("throw", "2"),
      AllOf(HasSubstr("could not make its pipeline: nothing to build with"), HasSubstr("3 starts in a row")));
}

TEST_F(ExecutedReplacement, WhoseMainThrowsOnceGoesOn) {
  twist("throw once");
  Attacked attacked{tries()};
  EXPECT_EQ(attacked.tell().nth, 0U);
  now();
  attacked.kill();
  EXPECT_EQ(attacked.tell().nth, 1U);
  attacked.end();
}

TEST_F(ExecutedReplacement, ThatNeverGetsToItsWorkIsToldSo) {
  EXPECT_THAT(end_of_twisted("leave", "2"),
              AllOf(HasSubstr("ended with status 9"), HasSubstr("sluice::executed_worker() first")));
}

TEST_F(ExecutedReplacement, WhoseMainHangsIsEndedByTheWatchdog) {
  twist("hang");
  Attacked attacked{tries({"watchdog.deadline=100ms", "restart.budget=3"})};
  now();
  attacked.kill();
  EXPECT_THAT(error_of([&] { attacked.end(); }), HasSubstr("the watchdog ended it"));
}

// A process of its own, since there is no way back.
TEST_F(ExecutedReplacement, ThatTheKernelRefusesEndsWithItsWords) {
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      ::_exit(5);
    const std::string said = error_of([&] {
      Attacked attacked{tries({"restart.budget=2"})};
      attacked.kill();
      attacked.end();
    });
    const bool right = said.find("execute the program anew") != std::string::npos &&
                       said.find("Operation not permitted") != std::string::npos;
    if (!right) ::fprintf(stderr, "%s\n", said.c_str());
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 5)
    GTEST_SKIP() << "no filter of system calls is allowed here";
  EXPECT_EQ(status, 0);
}

TEST_F(ExecutedReplacement, IsTheProgramThatWasStartedWhateverStandsInItsPlace) {
  const std::string program = file("program");
  const std::string other = file("other");
  std::filesystem::copy_file("/proc/self/exe", program);
  std::filesystem::copy_file("/bin/false", other);
  char* const argv[] = {const_cast<char*>(program.c_str()), const_cast<char*>(kLosesItsFile),
                        const_cast<char*>(other.c_str()), nullptr};
  pid_t child = 0;
  ASSERT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ), 0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(ExecutedReplacement, HasNoDescriptorsOfTheHost) {
  Pipeline pipeline{"victims"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.descriptors = {0}, .hostile_input = true}).outlet("out");
  Engine engine{pipeline, tries()};
  EXPECT_THAT(error_of([&] { engine.start(); }), AllOf(HasSubstr("echo"), HasSubstr("executed anew")));
}

// What an observer gets, it cannot write through, nor open so that it could.
TEST_F(ExecutedReplacement, HasASegmentThatNoReaderCanOpenForWriting) {
  const std::vector<ipc::RegionSpec> regions{{.plain_bytes = 4096, .ring_bytes = {4096}}};
  ipc::Segment segment{"sealed", regions, {}, ipc::Writable::where_mapped_anew};
  const detail::Descriptor reading{segment.open_read_only()[0]};
  const int written = segment.descriptors()[0];
  EXPECT_EQ(::fcntl(written, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reading.get(), 0), MAP_FAILED);
  struct stat found {};
  ASSERT_EQ(::fstat(reading.get(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0400U) << "also for this user; only root passes that by";
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, written, 0);
  ASSERT_NE(mapped, MAP_FAILED) << "its owner can map it anew";
  ::munmap(mapped, 4096);
  if (::getuid() != 0) return;
  const pid_t another = ::fork();
  if (another == 0) {
    constexpr uid_t kNobody = 65534;
    if (::setresgid(kNobody, kNobody, kNobody) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0)
      ::_exit(5);
    const std::string path = "/proc/self/fd/" + std::to_string(reading.get());
    ::_exit(::open(path.c_str(), O_RDWR | O_CLOEXEC) < 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(another, &status, 0), another);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice::test
