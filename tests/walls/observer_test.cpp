// SPDX-License-Identifier: Apache-2.0
// Observers: they see what the engine sees, can change nothing, and nothing that they do or suffer changes
// anything for the pipeline. Another user is refused and reported.
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <random>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ipc/child.hpp"
#include "observer/attach_message.hpp"
#include "observer/description.hpp"
#include "observer/observer_socket.hpp"
#include "observer/segment_stats.hpp"
#include "watched.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using ipc::test::Child;
using testing::HasSubstr;

class Observers : public WithSocket {};

AttachMessage ask(const std::string& socket) {
  return receive_attach_message(connect_to_observer_socket(socket, 5s).get());
}

// All that stands still while nothing happens.
std::string told(const Stats& stats) {
  std::ostringstream text;
  text << stats.master << ' ' << stats.supervisor << ' ' << stats.masters << ' '
       << stats.master_at_work.count() << ' ' << stats.reports << ' ' << stats.problem_count << '\n';
  for (const StageStats& stage : stats.stages) {
    text << stage.name << ' ' << stage.source << '\n';
    for (const WorkerStats& worker : stage.workers) {
      text << worker.name << ' ' << worker.pid << ' ' << worker.incarnation << ' ' << worker.place << ' '
           << worker.verdict << ' ' << worker.finished << ' ' << worker.events_in << ' ' << worker.events_out
           << ' ' << worker.occupancy << ' ' << worker.restarts << ' ' << worker.batches << ' '
           << worker.dropped << ' ' << worker.lives.size() << '\n';
      for (const LifeStats& life : worker.lives)
        text << "  " << life.incarnation << ' ' << life.born.count() << ' ' << life.ready.count() << '\n';
    }
  }
  return text.str();
}

TEST_F(Observers, SeeTheNumbersOfTheEngine) {
  const Watched run{settings()};
  const Observer observer = Observer::attach(socket_);
  EXPECT_EQ(observer.pipeline(), "counting");
  EXPECT_FALSE(observer.over());
  EXPECT_EQ(observer.stats().stages.at(0).events_in(), Watched::kItems);
  // Batches and verdicts of workers that fall asleep may move between the two looks.
  EXPECT_TRUE(eventually([&] { return told(observer.stats()) == told(run.engine.stats()); }))
      << told(observer.stats()) << told(run.engine.stats());
}

TEST_F(Observers, InAnotherProcessSeeThemToo) {
  Watched run{settings()};
  Child other{[&] {
    const Observer observer = Observer::attach(socket_);
    return observer.stats().stages.at(0).events_out() == Watched::kItems ? 0 : 1;
  }};
  EXPECT_EQ(other.ending(), "exit 0");
}

TEST_F(Observers, SeeTheEnd) {
  Watched run{settings()};
  const Observer observer = Observer::attach(socket_);
  run.engine.stop();
  EXPECT_TRUE(observer.over());
  EXPECT_EQ(observer.stats().stages.at(0).events_in(), Watched::kItems);
}

TEST_F(Observers, FindANamedSegmentBehindItsHeader) {
  Settings named = settings();
  named.set("segment.path", (directory_ / "segment").string());
  const Watched run{named};
  EXPECT_EQ(Observer::attach(socket_).stats().stages.at(0).events_in(), Watched::kItems);
  const AttachMessage handed = ask(socket_);
  ASSERT_TRUE(handed.segment);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, handed.segment.get(), 0), MAP_FAILED);
}

void expect_read_only(int fd) {
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_NE(::mprotect(mapped, 4096, PROT_READ | PROT_WRITE), 0);
  ::munmap(mapped, 4096);
  EXPECT_LT(::pwrite(fd, "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  EXPECT_NE(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
}

TEST_F(Observers, GetDescriptorsThatCannotBeWrittenThrough) {
  const Watched run{settings()};
  const AttachMessage handed = ask(socket_);
  ASSERT_TRUE(handed.segment);
  ASSERT_TRUE(handed.description);
  for (const int fd : {handed.segment.get(), handed.description.get()}) {
    expect_read_only(fd);
    // The same user may open the file anew, but no way of writing comes of it: it is sealed.
    const Descriptor again{::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC)};
    if (again) expect_read_only(again.get());
    EXPECT_LT(::fcntl(again ? again.get() : fd, F_ADD_SEALS, F_SEAL_GROW), 0);
  }
}

// As a process of the user `nobody`: 0 when it was let in, 1 when it was refused, 2 when it did not get
// there.
int connect_as_nobody(const std::string& socket) {
  if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 3;
  if (!connect_to_observer_socket(socket, 5s)) return 2;
  if (error_of_attaching(socket).empty()) return 0;
  return ask(socket).segment ? 0 : 1;
}

TEST_F(Observers, OfAnotherUserAreRefusedAndReported) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user to try it";
  const Watched run{settings()};
  Child nobody{[&] { return connect_as_nobody(socket_); }};
  const pid_t pid = nobody.pid();
  EXPECT_EQ(nobody.ending(), "exit 1");
  // One by connect_to_observer_socket(), one by attach(), one by ask().
  EXPECT_TRUE(eventually([&] { return run.engine.stats().observers_refused == 3; }));
  EXPECT_EQ(Observer::attach(socket_).stats().observers_refused, 3U);
  // It is counted first, and reported then.
  EXPECT_TRUE(eventually([&] { return !reports().empty(); }));
  EXPECT_THAT(reports(), HasSubstr("\"report\":\"observer refused\""));
  EXPECT_THAT(reports(), HasSubstr("\"uid\":" + std::to_string(kNobody) + ",\"pid\":" + std::to_string(pid)));
}

TEST_F(Observers, OfAnotherUserDoNotGetAsFarAsASocketThatChoseItsOwnPath) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user to try it";
  const Watched run{settings("auto")};
  // Root sees those of other tests as well, also one that runs as nobody.
  const std::string own = "counting." + std::to_string(::getpid());
  std::vector<RunningPipeline> running = Observer::running();
  std::erase_if(running, [&](const RunningPipeline& each) { return each.name != own; });
  ASSERT_EQ(running.size(), 1U);
  Child nobody{[&] { return connect_as_nobody(running.front().socket); }};
  EXPECT_EQ(nobody.ending(), "exit 2");
}

// Holds on to every other connection that it makes, and reads from none.
int flood(const std::string& socket, int connections) {
  std::vector<Descriptor> held;
  for (int made = 0; made < connections;) {
    Descriptor connection = connect_to_observer_socket(socket, 1s);
    if (!connection) continue;
    ++made;
    if (made % 2 == 0) held.push_back(std::move(connection));
  }
  return 0;
}

TEST_F(Observers, ThatDieStopOrFloodChangeNothing) {
  constexpr int kConnections = 1000;
  Engine engine{counting_pipeline(2), settings()};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  Child looker{[&] {
    const Observer observer = Observer::attach(socket_);
    while (observer.stats().stages.size() == 1) {
    }
    return 1;
  }};
  Child stopped{[&] {
    const Descriptor connection = connect_to_observer_socket(socket_, 5s);
    ::raise(SIGSTOP);
    return 1;
  }};
  Child flooder{[&] { return flood(socket_, kConnections); }};
  std::vector<Item> pushed;
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  const auto push_some = [&] {
    for (int i = 0; i < 100; ++i) {
      const auto number = static_cast<std::uint32_t>(pushed.size());
      pushed.push_back({number % 7, number});
      EXPECT_EQ(in.push(pushed.back()), PushResult::accepted);
    }
    std::this_thread::sleep_for(1ms);
  };
  while (is_alive(flooder.pid()) && std::chrono::steady_clock::now() < until)
    push_some();
  EXPECT_EQ(flooder.ending(), "exit 0");
  looker.kill();
  EXPECT_EQ(looker.ending(), "signal 9");
  push_some();
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));  // With the stopped one still there.
  EXPECT_EQ(sorted(out.all()), sorted(run_inline(counting_pipeline(2), pushed).events<Counted>("out")));
  for (const char* worker : {"count/0", "count/1"})
    EXPECT_EQ(worker_of(engine, worker).restarts, 0U) << worker;
  EXPECT_EQ(engine.stats().masters, 1U);
}

TEST_F(Observers, AreAnsweredByTheNextMaster) {
  Watched run{settings()};
  const Observer before = Observer::attach(socket_);
  for (std::uint32_t masters = 2; masters <= 5; ++masters) {
    // A master whose supervisor dies becomes the supervisor, and forks another.
    ::kill(masters % 2 == 0 ? master_of(run.engine) : supervisor_of(run.engine), SIGKILL);
    // Whoever asks while there is none waits for it.
    const Observer after = Observer::attach(socket_);
    EXPECT_EQ(after.stats().stages.at(0).events_in(), Watched::kItems);
    EXPECT_TRUE(eventually([&] { return after.stats().masters == masters; }));
    EXPECT_EQ(before.stats().masters, masters);
    // Known to be whole again: whoever is killed next is no master that is about to become a supervisor.
    EXPECT_TRUE(eventually([&] { return supervisor_of(run.engine) == parent_of(master_of(run.engine)); }));
  }
}

// Whatever a description says: it is refused, or statistics can be read by it.
void try_description(const std::string& bytes, const std::string& socket, std::uint64_t& refused) {
  try {
    const Description description = read_description(bytes, "test");
    AttachMessage handed = ask(socket);
    const ipc::Segment segment{"test", region_specs(description.layout),
                               ipc::ForeignMemory{handed.segment.release(),
                                                  description.first_byte,
                                                  {handed.huge[0].release(), handed.huge[1].release()},
                                                  description.huge}};
    Stats stats = description.known;
    read_stats(SegmentMap{description.layout, segment}, stats);
  } catch (const Error&) {
    ++refused;
  }
}

std::string bytes_of(const Descriptor& file) {
  struct stat found {};
  EXPECT_EQ(::fstat(file.get(), &found), 0);
  std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
  EXPECT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), found.st_size);
  return bytes;
}

TEST_F(Observers, SayWhichOtherVersionOfSluiceTheyHaveMet) {
  const Watched run{settings()};
  std::string bytes = bytes_of(ask(socket_).description);
  const std::string version = run.engine.stats().version;
  // The mark, the version of the description, the length of the text, the text.
  ASSERT_EQ(bytes.substr(24, version.size()), version);
  bytes[24 + version.size()] = static_cast<char>(bytes[24 + version.size()] + 1);
  EXPECT_THAT(
      error_of([&] { read_description(bytes, "test"); }),
      HasSubstr("another version of Sluice runs it, " + version + ": use the `sluice` of that version"));
  bytes[8] = 77;
  EXPECT_THAT(error_of([&] { read_description(bytes, "test"); }), HasSubstr("runs it, " + version));
  bytes[8] = 1;
  EXPECT_THAT(error_of([&] { read_description(bytes, "test"); }),
              HasSubstr("an older version of Sluice runs it"));
}

TEST_F(Observers, SayOfAFileThatItIsNoSocket) {
  const std::string file = directory_ / "file";
  std::ofstream{file} << "text";
  EXPECT_THAT(error_of([&] { Observer::attach(file); }), HasSubstr(file + ": it is no socket"));
}

// They are shown as they are, and who looks may be root.
TEST_F(Observers, TakeNoNameThatDrivesATerminal) {
  const Watched run{settings()};
  const std::string whole = bytes_of(ask(socket_).description);
  std::size_t names = 0;
  // The stage, its workers, and the ends of their lanes; settings are told by their keys.
  const std::size_t settings = whole.find("profile.file");
  for (std::size_t at = 0; (at = whole.find("count", at)) < settings; ++at) {
    if (whole.compare(at, 8, "counting") == 0) continue;
    ++names;
    std::string driving = whole;
    driving[at] = '\x1b';
    EXPECT_THAT(error_of([&] { read_description(driving, "test"); }), HasSubstr("a name is none")) << at;
  }
  EXPECT_GE(names, 7U);
}

TEST_F(Observers, TrustNothingInADescription) {
  constexpr std::uint64_t kTries = 5000;
  const char* text = std::getenv("WALLS_SEED");
  const std::uint64_t seed = text == nullptr ? 20'240'301 : std::strtoull(text, nullptr, 10);
  std::cout << "seed " << seed << std::endl;
  const Watched run{settings()};
  const std::string whole = bytes_of(ask(socket_).description);
  std::uint64_t refused = 0;
  try_description(whole, socket_, refused);
  EXPECT_EQ(refused, 0U);
  const Description described = read_description(whole, "test");
  EXPECT_EQ(described.layout.processes[kHostProcess].name, "host");
  EXPECT_EQ(described.layout.processes[kMasterProcess].name, "master");
  // Most of it are the settings: texts, which may say anything. What leads to memory stands before them.
  const std::size_t numbers = whole.find("profile.file");
  ASSERT_NE(numbers, std::string::npos);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read_description(whole.substr(0, size), "test"), Error) << size;
  std::mt19937_64 random{seed};
  for (std::uint64_t i = 0; i < kTries; ++i) {
    std::string damaged = whole;
    for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      char& hit = damaged[random() % (i % 8 == 0 ? damaged.size() : numbers)];
      hit = static_cast<char>(static_cast<unsigned char>(hit) ^ (1U << (random() % 8)));
    }
    try_description(damaged, socket_, refused);
  }
  std::cout << refused << " of " << kTries << " refused" << std::endl;
  EXPECT_GT(refused, kTries / 4);
}

}  // namespace
}  // namespace sluice::test
