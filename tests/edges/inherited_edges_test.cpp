// SPDX-License-Identifier: Apache-2.0
// What the processes of a pipeline inherit from the host and do not keep, and what falls to a host that is process 1.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child_status.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Connection {
  Connection() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~Connection() {
    close_ours();
    ::close(ends[1]);
  }
  void close_ours() {
    if (ends[0] >= 0) ::close(ends[0]);
    ends[0] = -1;
  }
  // Whether the peer is told, within the deadline.
  bool peer_hears_the_end() const {
    pollfd peer{ends[1], POLLIN, 0};
    char byte = 0;
    return ::poll(&peer, 1, 60'000) == 1 && ::read(ends[1], &byte, 1) == 0;
  }
  std::string peer_reads() const {
    char text[64];
    pollfd peer{ends[1], POLLIN, 0};
    if (::poll(&peer, 1, 60'000) != 1) return "nothing";
    const ssize_t bytes = ::read(ends[1], text, sizeof(text));
    return {text, static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
  }
  int ends[2] = {-1, -1};
};

std::filesystem::path descriptor_in(pid_t pid, int fd) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd), error);
}

class Inherited : public WithProcesses {};

TEST_F(Inherited, SocketOfTheHostEndsWhenTheHostClosesIt) {
  Connection connection;
  Engine engine{counting_pipeline(2, "closed"), test_settings()};
  engine.start();
  connection.close_ours();
  EXPECT_TRUE(connection.peer_hears_the_end());
  // Those that come later inherit from those.
  Connection second;
  EXPECT_TRUE(engine.signal_worker("count/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").incarnation == 2; }));
  second.close_ours();
  EXPECT_TRUE(second.peer_hears_the_end());
  engine.stop();
}

// What a process has open, without the numbers.
std::vector<std::string> kinds_open_in(pid_t pid) {
  std::vector<std::string> kinds;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/fd"}) {
    std::error_code error;
    std::string kind = std::filesystem::read_symlink(entry.path(), error).string();
    std::erase_if(kind, [](char letter) { return letter >= '0' && letter <= '9'; });
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

// Neither its epoll descriptor nor its end of the checkpointer's line.
TEST_F(Inherited, NothingThatTheMasterWaitsWithComesToAWorker) {
  std::string scratch = (std::filesystem::temp_directory_path() / "sluice-inherited-XXXXXX").string();
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  Settings settings = test_settings();
  settings.set("checkpoint.path", scratch + "/checkpoints");
  Engine engine{counting_pipeline(1, "late"), settings};
  engine.start();
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.written > 0; }));
  // The standby was forked before.
  for (std::uint32_t life = 2; life <= 3; ++life) {
    EXPECT_TRUE(eventually([&] { return engine.signal_worker("count/0", SIGKILL); }));
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").incarnation == life; }));
  }
  const std::vector<std::string> kinds = kinds_open_in(worker_of(engine, "count/0").pid);
  EXPECT_THAT(kinds, testing::Contains(HasSubstr("eventfd")));
  EXPECT_THAT(kinds, testing::Not(testing::Contains(HasSubstr("eventpoll"))));
  EXPECT_THAT(kinds, testing::Not(testing::Contains(HasSubstr("socket"))));
  engine.stop();
  clear_away(scratch);
}

// Says who it is to whoever is at the other end.
struct Speaker {
  Speaker(Worker& worker, int fd) : worker{worker}, fd{fd} {}
  void operator()(const Item&) const {
    const std::string text = worker.stage() + "#" + std::to_string(worker.incarnation());
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Worker& worker;
  int fd;
};

// As code of daemons does: closes what it does not know, and opens files of its own.
struct ClosesAll {
  explicit ClosesAll(Worker&, const std::string& directory) {
    ::close_range(3, ~0U, 0);
    for (int i = 0; i < 40; ++i)
      ::open((directory + "/" + std::to_string(i)).c_str(), O_RDWR | O_CREAT, 0600);
  }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

// It rings the stage behind it before it waits, and ends there, since its own bell is closed.
TEST_F(Inherited, DescriptorsThatAHandlerClosesAreNotTakenForOursWhenItOpensFiles) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-closes-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  Pipeline pipeline{"closes"};
  pipeline.inlet<Item>("in").to<ClosesAll>("closes", {}, directory).to<Echo>("echo").outlet("out");
  EXPECT_THAT(error_of([&] {
                Engine engine{pipeline, test_settings()};
                engine.start();
                std::ignore = engine.inlet<Item>("in").push({});
                engine.wait_for(60s);
              }),
              HasSubstr("has closed descriptors of the pipeline"));
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator{directory}) {
    EXPECT_EQ(file.file_size(), 0U) << file.path();
    ++files;
  }
  EXPECT_EQ(files, 40);
  clear_away(directory);
}

TEST_F(Inherited, DescriptorIsThereForTheStageThatItIsGivenAndNoOther) {
  Connection connection;
  const int fd = connection.ends[0];
  Pipeline pipeline{"given"};
  auto in = pipeline.inlet<Item>("in");
  in.to<Speaker>("speak", {.descriptors = {fd}}, fd);
  in.to<Count>("count").outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  auto end = engine.inlet<Item>("in");
  const std::filesystem::path socket = descriptor_in(::getpid(), fd);
  EXPECT_EQ(descriptor_in(worker_of(engine, "speak/0").pid, fd), socket);
  EXPECT_NE(descriptor_in(worker_of(engine, "count/0").pid, fd), socket);
  std::ignore = end.push({});
  EXPECT_EQ(connection.peer_reads(), "speak#1");
  // Killed before its commit it would be said again.
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "speak/0").events_in == 1; }));
  EXPECT_TRUE(engine.signal_worker("speak/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "speak/0").incarnation == 2; }));
  std::ignore = end.push({});
  EXPECT_EQ(connection.peer_reads(), "speak#2") << "a replacement has it, too";
  engine.stop();
}

TEST_F(Inherited, DescriptorThatIsNotOpenIsRefusedAtTheStart) {
  Pipeline pipeline{"given"};
  pipeline.inlet<Item>("in").to<Speaker>("speak", {.descriptors = {999}}, 999);
  Engine engine{pipeline, test_settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("speak"), HasSubstr("999"), HasSubstr("StageOptions::descriptors")));
}

int oom_score_of(pid_t pid) {
  int score = -10'000;
  std::ifstream{"/proc/" + std::to_string(pid) + "/oom_score_adj"} >> score;
  return score;
}

TEST_F(Inherited, OomScoreIsRaisedInWorkersAlone) {
  for (const auto& [setting, more] : {std::pair{"", 100}, std::pair{"250", 250}, std::pair{"0", 0}}) {
    Settings settings = test_settings();
    if (*setting != '\0') settings.set("oom.score", setting);
    Engine engine{counting_pipeline(1, "scored"), settings};
    engine.start();
    const int host = oom_score_of(::getpid());
    EXPECT_EQ(oom_score_of(worker_of(engine, "count/0").pid), std::min(host + more, 1000)) << setting;
    EXPECT_EQ(oom_score_of(master_of(engine)), host);
    EXPECT_EQ(oom_score_of(supervisor_of(engine)), host);
    engine.stop();
  }
}

bool is_zombie(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  return !fields.empty() && fields[0] == "Z";
}

// Kills a supervisor or a master, and waits for the next master.
bool replaced(Engine& engine, pid_t pid) {
  const Stats before = engine.stats();
  ::kill(pid, SIGKILL);
  return eventually(
      [&] {
        const Stats now = engine.stats();
        return !engine.wait_for(1ms) && now.masters > before.masters &&
               now.master_at_work > before.master_at_work;
      },
      20s);
}

// As a host that orphans fall to: they are reaped, and the host's own child is not.
int reap_what_falls_to_it() {
  const pid_t own = ::fork();
  if (own == 0) ::_exit(7);
  {
    Engine engine{counting_pipeline(2, "orphaned"), test_settings()};
    engine.start();
    Collector<Counted> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    const auto fail = [&engine](int status) {
      engine.stop();
      return status;
    };
    for (std::uint32_t i = 0; i < 3; ++i) {
      // The master takes its place, and is nobody's child but the host's; so are the workers of a master that dies.
      if (!replaced(engine, supervisor_of(engine)) || !replaced(engine, master_of(engine))) return fail(2);
      engine.signal_worker("count/0", SIGKILL);
      std::ignore = in.push(Item{0, i});
    }
    const auto no_zombies = [&] {
      engine.wait_for(1ms);
      const std::vector<pid_t> children = children_of(::getpid());
      return std::none_of(children.begin(), children.end(),
                          [own](pid_t child) { return child != own && is_zombie(child); });
    };
    if (!eventually(no_zombies, 10s)) return fail(4);
    in.close();
    if (!engine.wait_for(30s) || out.all().size() != 3) return fail(5);
  }
  int status = 0;
  if (::waitpid(own, &status, WNOHANG) != own || WEXITSTATUS(status) != 7) return 6;
  return eventually([] { return children_of(::getpid()).empty(); }, 20s) ? 0 : 8;
}

TEST_F(Inherited, OrphansAreReapedByAHostThatTheyFallTo) {
  EXPECT_EQ(status_in_child([] {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1);
              return reap_what_falls_to_it();
            }),
            0);
}

// In a namespace of its own, with a /proc that says so.
int reap_as_process_one() {
  constexpr int kNotPermitted = 77;
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return kNotPermitted;
  return status_in_child([] {
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
      return kNotPermitted;
    return ::getpid() == 1 ? reap_what_falls_to_it() : 9;
  });
}

TEST_F(Inherited, OrphansAreReapedByAHostThatIsProcessOne) {
  const int status = status_in_child(reap_as_process_one);
  if (status == 77) GTEST_SKIP() << "this user may make no PID namespace";
  EXPECT_EQ(status, 0);
}

// What the kernel schedules them by, as `ps -o ni` shows it. The constructor of a replacement's handler tells its own.
int nice_of(pid_t pid) {
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  return errno == 0 ? nice : 99;
}

struct Tells {
  Tells(Worker& worker, const std::string& path) {
    std::ofstream{path, std::ios::app} << worker.incarnation() << ' ' << nice_of(0) << '\n';
  }
  void operator()(const Item&) const {}
};

class Priority : public WithProcesses {
 protected:
  Priority() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
  ~Priority() override { clear_away(directory_); }

  std::string told() const { return directory_ + "/told"; }
  // Of supervisor, master and a replacement that makes its handler; the last one is that of a worker at work.
  std::vector<int> nices(const std::string& priority) const {
    Settings settings = test_settings();
    settings.set("master.priority", priority);
    Pipeline pipeline{"nice"};
    pipeline.inlet<Item>("in").to<Tells>("tells", told());
    Engine engine{pipeline, settings};
    engine.start();
    EXPECT_TRUE(engine.signal_worker("tells/0", SIGKILL));
    int replacement = 99;
    EXPECT_TRUE(eventually([&] {
      std::ifstream file{told()};
      for (int incarnation = 0, nice = 0; file >> incarnation >> nice;) {
        if (incarnation == 2) replacement = nice;
      }
      return replacement != 99;
    }));
    auto in = engine.inlet<Item>("in");
    EXPECT_EQ(in.push({}), PushResult::accepted);
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "tells/0").events_in == 1; }));
    std::vector<int> all{nice_of(supervisor_of(engine)), nice_of(master_of(engine)), replacement,
                         nice_of(worker_of(engine, "tells/0").pid)};
    // Standby and all others that the control plane has.
    for (const pid_t pid : children_of(master_of(engine))) {
      if (priority == "normal") {
        const int nice = nice_of(pid);
        EXPECT_TRUE(nice == nice_of(0) || !is_alive(pid)) << pid << " has " << nice;
      }
    }
    engine.stop();
    return all;
  }

 private:
  std::string directory_ = (std::filesystem::temp_directory_path() / "sluice-nice-XXXXXX").string();
};

TEST_F(Priority, OfTheControlPlaneIsTheHostsWhereThatIsAskedFor) {
  const int own = nice_of(0);
  EXPECT_THAT(nices("normal"), testing::ElementsAre(own, own, own, own));
}

TEST_F(Priority, IsRaisedUntilAReplacementIsAtWork) {
  constexpr int kRaised = -15;
  const int own = nice_of(0);
  const bool permitted =
      status_in_child([] { return ::setpriority(PRIO_PROCESS, 0, kRaised) == 0 ? 0 : 1; }) == 0;
  if (!permitted) GTEST_SKIP() << "this user may not raise a priority";
  EXPECT_THAT(nices("raised"), testing::ElementsAre(kRaised, kRaised, kRaised, own));
}

// A host that closes all descriptors has closed the pipeline's, which takes that for its death.
int end_without_descriptors() {
  rusage before{};
  rusage after{};
  {
    Engine engine{counting_pipeline(1, "bare"), test_settings()};
    engine.start();
    ::close_range(3, ~0U, 0);
    ::getrusage(RUSAGE_SELF, &before);
    if (error_of([&engine] { engine.wait_for(30s); }).empty()) return 3;
  }
  ::getrusage(RUSAGE_SELF, &after);
  const auto spent = [](const rusage& usage) { return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec; };
  return spent(after) - spent(before) < 2 ? 0 : 4;
}

TEST(HostThatClosesAll, HearsOfTheEndAndDoesNotSpinUntilItIsThere) {
  EXPECT_EQ(status_in_child(end_without_descriptors), 0);
}

}  // namespace
}  // namespace sluice::test
