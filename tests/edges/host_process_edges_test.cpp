// SPDX-License-Identifier: Apache-2.0
// Whose pipeline it is: that of the process that made the engine, and of no child of it. A host that becomes
// another program has left its pipeline, and two pipelines of one host have nothing of each other.

#include <map>
#include <set>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "census.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::string named(const char* what) {
  return std::string{what} + "-" + std::to_string(::getpid());
}

// Runs `program` in a child of this process, which ends without what a test program has to do at its end; its
// exit status, -1 when it did not end in time or was killed.
int in_a_child(const std::function<int()>& program) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(program());
  }
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; });
  if (!ended) ::kill(child, SIGKILL);
  return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

template <class Act>
std::string error_of(Act&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

class Fork : public WithProcesses {};

// The rest of a test in which a child did something: a thousand events go through.
void expect_to_work(Engine& engine) {
  constexpr std::uint32_t kEvents = 1000;
  {
    Collector<Counted> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t i = 0; i < kEvents; ++i)
      ASSERT_EQ(in.push({i % 7, i}), PushResult::accepted);
    engine.wait();
    EXPECT_EQ(out.all().size(), kEvents);
  }
}

TEST_F(Fork, LeavesThePipelineToTheParentWhenTheChildDestroysItsCopyOfTheEngine) {
  auto engine = std::make_unique<Engine>(counting_pipeline(2, named("fork")), test_settings());
  engine->start();
  EXPECT_EQ(in_a_child([&] {
              engine.reset();
              return 0;
            }),
            0);
  EXPECT_FALSE(engine->over());
  expect_to_work(*engine);
}

TEST_F(Fork, LeavesThePipelineToTheParentWhenTheChildEndsByExit) {
  // A function's static object is destroyed by exit().
  static Engine engine{counting_pipeline(2, named("exit")), test_settings()};
  engine.start();
  EXPECT_EQ(in_a_child([]() -> int { std::exit(0); }), 0);
  EXPECT_FALSE(engine.over());
  expect_to_work(engine);
}

TEST_F(Fork, GivesTheChildNothingThatItCouldDoToThePipeline) {
  Engine engine{counting_pipeline(1, named("refuse")), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Counted>("out");
  const auto child = [&] {
    const std::string whose = "its engine belongs to the process " + std::to_string(::getppid());
    const std::vector<std::function<void()>> acts{[&] { engine.wait(); },
                                                  [&] { engine.wait_for(1ms); },
                                                  [&] { engine.drain(); },
                                                  [&] { engine.stop(); },
                                                  [&] { engine.stats(); },
                                                  [&] { engine.over(); },
                                                  [&] { engine.inlet<Item>("in"); },
                                                  [&] { engine.signal_worker("count/0", SIGKILL); },
                                                  [&] {
                                                    std::ignore = in.push({1, 1});
                                                  },
                                                  [&] { in.close(); },
                                                  [&] { out.poll([](const Counted&) {}); },
                                                  [&] { out.wait(1ms); }};
    int refused = 0;
    for (const auto& act : acts)
      refused += error_of(act).find(whose) != std::string::npos ? 1 : 0;
    return refused == static_cast<int>(acts.size()) ? 0 : 1 + refused;
  };
  EXPECT_EQ(in_a_child(child), 0);
  EXPECT_FALSE(engine.over());
  expect_to_work(engine);
}

TEST_F(Fork, OfAHostThatBecomesADaemonAfterTheStartIsTold) {
  auto* told = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const std::string name = named("daemon");
  const auto host = [&] {
    Engine engine{counting_pipeline(1, name), test_settings()};
    engine.start();
    if (::daemon(1, 1) != 0) return 1;
    const std::string text = error_of([&] { engine.wait(); });
    told->store(text.find("call daemon(), before the engine is made") != std::string::npos ? 1 : 2);
    return 0;
  };
  EXPECT_EQ(in_a_child(host), 0);
  EXPECT_TRUE(eventually([&] { return told->load() != 0; }));
  EXPECT_EQ(told->load(), 1) << "a wait whose pipeline has ended with its host must not look like success";
  EXPECT_TRUE(eventually([&] { return processes_of(name).empty(); }));
  ::munmap(told, sizeof(*told));
}

TEST_F(Fork, OfAnEngineThatIsNotStartedYetIsNoWayToStartItTwice) {
  Engine engine{counting_pipeline(1, named("twice")), test_settings()};
  EXPECT_EQ(in_a_child([&] {
              const std::string text = error_of([&] { engine.start(); });
              return text.find("start the pipeline") != std::string::npos &&
                             text.find("a child of it") != std::string::npos
                         ? 0
                         : 1;
            }),
            0);
  engine.start();
  expect_to_work(engine);
}

struct Keep {
  Keep(Worker& worker, const fs::path& path) : file_{worker, "numbers", path} {}
  void operator()(const Item& item) { file_.append(std::to_string(item.number) + "\n"); }
  void finish() { file_.append("end\n"); }

 private:
  AppendFile file_;
};

// A host in a process of its own that pushes some events and becomes another program.
void become_another_program(const Pipeline& pipeline, const char* death) {
  Settings settings = test_settings();
  settings.set("host.death", death);
  const pid_t host = ::fork();
  if (host == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Engine engine{pipeline, settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t i = 0; i < 1000; ++i)
      if (in.push({0, i}) != PushResult::accepted) ::_exit(1);
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  }
  EXPECT_TRUE(eventually([&] {
    std::ifstream file{"/proc/" + std::to_string(host) + "/comm"};
    std::string name;
    return std::getline(file, name) && name == "sleep";
  }));
  EXPECT_TRUE(eventually([&] { return processes_of(pipeline.name()).empty(); })) << "the pipeline lives on";
  EXPECT_TRUE(is_alive(host)) << "the other program does";
  ::kill(host, SIGKILL);
  ::waitpid(host, nullptr, 0);
}

TEST(Exec, EndsThePipelineAsTheDeathOfTheHostDoes) {
  const std::string name = named("exec");
  const fs::path path = fs::temp_directory_path() / name;
  Pipeline pipeline{name};
  pipeline.inlet<Item>("in").to<Echo>("echo").to<Keep>("keep", path);
  become_another_program(pipeline, "stop");
  fs::remove(path);
  become_another_program(pipeline, "drain");
  std::ifstream file{path};
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  ASSERT_EQ(lines.size(), 1001U) << "what was pushed is handled";
  EXPECT_EQ(lines.back(), "end");
  fs::remove(path);
}

// What stands behind a descriptor, so that two of one thing are equal.
std::string thing_behind(pid_t pid, const fs::path& descriptor) {
  std::error_code gone;
  std::string thing = fs::read_symlink(descriptor, gone).string();
  std::ifstream info{"/proc/" + std::to_string(pid) + "/fdinfo/" + descriptor.filename().string()};
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("eventfd-id:")) thing += line;
  }
  return thing;
}

std::set<std::string> things_open_in(pid_t pid) {
  std::set<std::string> found;
  std::error_code gone;
  for (fs::directory_iterator at{"/proc/" + std::to_string(pid) + "/fd", gone}, end; !gone && at != end;
       at.increment(gone))
    found.insert(thing_behind(pid, at->path()));
  return found;
}

class TwoPipelines : public WithProcesses {
 protected:
  static fs::path segment(const std::string& name) { return fs::path{"/dev/shm"} / ("sluice-" + name); }
  static Settings settings(const std::string& name) {
    Settings settings = test_settings();
    settings.set("state.bytes", "64KiB");
    settings.set("undo.bytes", "64KiB");
    settings.set("segment.path", segment(name).string());
    return settings;
  }
};

TEST_F(TwoPipelines, OfOneHostHaveNoMappingAndNoDescriptorOfEachOther) {
  const std::string first_name = named("first");
  const std::string second_name = named("second");
  const std::set<std::string> before = things_open_in(::getpid());
  Engine first{counting_pipeline(1, first_name), test_settings()};
  std::set<std::string> of_first = things_open_in(::getpid());
  Engine second{counting_pipeline(1, second_name), test_settings()};
  std::set<std::string> of_second = things_open_in(::getpid());
  for (const std::string& thing : of_first)
    of_second.erase(thing);
  first.start();
  for (const std::string& thing : things_open_in(::getpid())) {
    if (!of_second.contains(thing)) of_first.insert(thing);
  }
  for (const std::string& thing : before)
    of_first.erase(thing);
  second.start();
  EXPECT_GE(of_first.size(), 5U) << "segment, doorbells, lines";

  const auto expect_nothing_of = [](const std::string& name, const std::set<std::string>& things,
                                    const std::vector<pid_t>& processes) {
    EXPECT_GE(processes.size(), 3U) << "supervisor, master, worker";
    for (const pid_t pid : processes) {
      EXPECT_FALSE(is_of(name, pid)) << "process " << pid << " maps " << name;
      for (const std::string& thing : things_open_in(pid))
        EXPECT_FALSE(things.contains(thing)) << "process " << pid << " has " << thing << " of " << name;
    }
  };
  EXPECT_TRUE(eventually([&] { return processes_of(second_name).size() >= 4; })) << "with a standby";
  expect_nothing_of(first_name, of_first, processes_of(second_name));
  expect_nothing_of(second_name, of_second, processes_of(first_name));
  expect_to_work(first);
  expect_to_work(second);
}

TEST_F(TwoPipelines, OfOneHostDoNotHoldEachOthersLocks) {
  const std::string first_name = named("locked");
  const std::string second_name = named("other");
  std::optional<Engine> first{std::in_place, counting_pipeline(1, first_name), settings(first_name)};
  first->start();
  Engine second{counting_pipeline(1, second_name), settings(second_name)};
  second.start();
  std::ignore = first->inlet<Item>("in").push({1, 1});
  first->stop();
  first.reset();
  Engine again{counting_pipeline(1, first_name), settings(first_name)};
  again.start();
  EXPECT_TRUE(again.resumed()) << "its file is in no other process's hands";
  expect_to_work(second);
  again.stop();
  fs::remove(segment(first_name));
  fs::remove(segment(second_name));
}

}  // namespace
}  // namespace sluice::test
