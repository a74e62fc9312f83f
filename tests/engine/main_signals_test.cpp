// SPDX-License-Identifier: Apache-2.0
// sluice::run and signals: whenever they come, the program ends as they ask, and says how.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <utility>

#include <sluice/main.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

class ProgramSignals : public WithProcesses {};

struct Ignores {
  void operator()(const Item&) const {}
};

class Unended {
 public:
  Unended(Worker& worker, bool endless) {
    if (endless) worker.declare_endless();
  }
  bool operator()(Output<Item>& out) const {
    out.push({});
    return true;
  }
};

// To drain what waits for it takes a while.
struct IgnoresSlowly {
  void operator()(const Item&) const { std::this_thread::sleep_for(5ms); }
};

// In a process of its own: what is told by a signal could reach a test too late.
template <class Last = Ignores>
int interrupted(int interrupts, bool endless) {
  const pid_t program = ::fork();
  if (program == 0) {
    std::freopen("/dev/null", "w", stderr);
    std::signal(SIGINT, SIG_DFL);  // It may be ignored, by a shell that runs tests in the background.
    Pipeline pipeline{"endless"};
    pipeline.source<Unended>("endless", endless).to<Last>("swallow");
    Settings settings = test_settings();
    settings.set("lane.slots", "64");
    settings.set("batch.events", "8");
    Engine engine{pipeline, settings};
    int sent = 0;
    const auto interrupt = [&] {
      if (sent != 0 || worker_of(engine, "swallow/0").events_in == 0) return;
      while (sent < interrupts)
        ++sent, ::raise(SIGINT);
    };
    int status = sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true},
                             settings, interrupt);
    if (std::signal(SIGINT, SIG_DFL) != SIG_DFL) status = 77;
    ::_exit(status);
  }
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
  if (!ended && program > 0) ::kill(program, SIGKILL);
  return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ProgramSignals, DrainsAtTheFirstInterruptAndGivesTheSignalBack) {
  EXPECT_EQ(interrupted(1, true), kExitOk);
}

TEST_F(ProgramSignals, TakesTwoInterruptsAtOnceForOneAsTimeoutSendsThem) {
  // One of them may come late where this process does not get its processor back in time.
  int status = kExitFailed;
  for (int i = 0; i < 5 && status != kExitOk; ++i)
    status = interrupted<IgnoresSlowly>(2, true);
  EXPECT_EQ(status, kExitOk);
}

// Begins when its program looks on.
class Held {
 public:
  Held(std::string gate, bool gives_up) : gate_{std::move(gate)}, gives_up_{gives_up} {}
  void operator()(const Item& item) const {
    while (!std::filesystem::exists(gate_))
      std::this_thread::sleep_for(1ms);
    if (gives_up_) throw Error{{"go on with", std::to_string(item.number), "it is odd", "leave it out"}};
  }

 private:
  std::string gate_;
  bool gives_up_;
};

class EndedBeforeItCouldStop : public WithProcesses {
 protected:
  EndedBeforeItCouldStop() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-stop-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
  }
  ~EndedBeforeItCouldStop() override { std::filesystem::remove_all(scratch_); }

  std::string file(const char* name) const { return (scratch_ / name).string(); }

  // The status of a program that two signals reach when its pipeline has ended in `ends`, and it has not noticed that yet.
  int run(bool gives_up, const std::function<void(Engine&)>& ends) {
    Pipeline pipeline{"numbers"};
    pipeline.source<Numbers>("numbers", 100U).to<Held>("held", file("gate"), gives_up);
    Engine engine{pipeline, test_settings()};
    const auto interrupt = [&] {
      ends(engine);
      ::raise(SIGTERM);
      ::raise(SIGHUP);
    };
    testing::internal::CaptureStderr();
    const int status =
        sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true},
                    test_settings(), interrupt);
    said_ = testing::internal::GetCapturedStderr();
    return status;
  }
  void go_on(Engine& engine) const {
    std::ofstream{file("gate")} << "open";
    EXPECT_TRUE(eventually([&] { return engine.over(); }));
  }

  std::filesystem::path scratch_;
  std::string said_;
};

// As hosts do that pull nothing.
TEST_F(ProgramSignals, SayWhatADrainHasLeftForTheHost) {
  for (const unsigned pulled : {0U, 2U, 3U}) {
    Pipeline pipeline{"echoes"};
    pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
    Engine engine{pipeline, test_settings()};
    testing::internal::CaptureStderr();
    unsigned next = 0;
    unsigned taken = 0;
    const int status = sluice::run(
        engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true}, test_settings(), [&] {
          auto in = engine.inlet<Item>("in");
          for (; next < 3; ++next)
            EXPECT_EQ(in.push({0, next}), PushResult::accepted);
          auto out = engine.outlet<Item>("out");
          while (taken < pulled)
            taken += out.poll([](const Item&) {}, 1) != 0 ? 1U : 0U;
          out.ack();
          if (next++ == 3) engine.begin_drain();
        });
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(status, kExitOk);
    const char* left[] = {"; 3 events (", "", "; 1 event ("};
    EXPECT_THAT(
        said, HasSubstr(std::string{"drained: everything is handled"} + (pulled == 3 ? "\n" : left[pulled])));
  }
}

TEST_F(EndedBeforeItCouldStop, HasTheStatusOfThatEnd) {
  EXPECT_EQ(run(false, [this](Engine& engine) { go_on(engine); }), kExitOk);
}

TEST_F(EndedBeforeItCouldStop, SaysWhyItFailed) {
  EXPECT_EQ(run(true, [this](Engine& engine) { go_on(engine); }), kExitFailed);
  EXPECT_THAT(said_, HasSubstr("it is odd"));
}

TEST_F(EndedBeforeItCouldStop, SaysThatNobodyIsLeftToSayHow) {
  EXPECT_EQ(run(false, [](Engine& engine) { kill_control_plane_of(engine); }), kExitFailed);
  EXPECT_THAT(said_, HasSubstr("its master and its supervisor died"));
}

// Its model takes an hour to load.
struct NeverMade {
  NeverMade(Worker& worker, const std::string& begun) {
    const auto call = worker.outside(std::chrono::hours{1});
    std::ofstream{begun} << "begun";
    while (true)
      std::this_thread::sleep_for(1ms);
  }
  void operator()(const Item&) const {}
};

TEST_F(ProgramSignals, HearsSignalsWhileAHandlerIsBeingMade) {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-made-XXXXXX").string();
  const std::filesystem::path scratch = ::mkdtemp(name.data());
  const pid_t program = ::fork();
  if (program == 0) {
    std::freopen((scratch / "said").c_str(), "w", stderr);
    std::setvbuf(stderr, nullptr, _IONBF, 0);
    std::signal(SIGINT, SIG_DFL);  // As above.
    Pipeline pipeline{"models"};
    pipeline.source<Numbers>("numbers", 100U).to<NeverMade>("model", (scratch / "begun").string());
    Engine engine{pipeline, test_settings()};
    ::_exit(sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true},
                        test_settings()));
  }
  const auto said = [&] {
    std::ifstream file{scratch / "said"};
    return std::string{std::istreambuf_iterator<char>{file}, {}};
  };
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(scratch / "begun"); }));
  ::kill(program, SIGTERM);
  EXPECT_TRUE(eventually([&] { return said().find("another signal stops at once") != std::string::npos; }));
  ::kill(program, SIGINT);
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
  if (!ended) ::kill(program, SIGKILL), ::waitpid(program, &status, 0);
  EXPECT_TRUE(ended && WIFEXITED(status) && WEXITSTATUS(status) == kExitFailed);
  EXPECT_THAT(said(), HasSubstr("stopped: "));
  std::filesystem::remove_all(scratch);
}

TEST_F(ProgramSignals, SaysByItsStatusThatASourceWasInterruptedBeforeItsEnd) {
  EXPECT_EQ(interrupted(1, false), 128 + SIGINT);
}

}  // namespace
}  // namespace sluice::test
