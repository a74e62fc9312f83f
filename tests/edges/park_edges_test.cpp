// SPDX-License-Identifier: Apache-2.0
// Park, drain and stop: what is kept, what is handled, what is given up, and that the next start goes on
// exactly there, whatever is killed meanwhile.

#include <random>
#include <sys/prctl.h>

#include "census.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// Appends the number of every item to a file, slowly if asked to, and its last word behind them.
class Lines {
 public:
  Lines(Worker& worker, const fs::path& path, std::uint32_t pause_us)
      : file_{worker, "numbers", path}, begun_{path.string() + ".begun"}, pause_{pause_us} {}
  void operator()(const Item& item) {
    if (pause_.count() != 0) dawdle();
    file_.append(std::to_string(item.number) + "\n");
  }
  void finish() { file_.append("end\n"); }

 private:
  void dawdle() const { static_cast<void>(std::ofstream{begun_}), std::this_thread::sleep_for(pause_); }
  AppendFile file_;
  fs::path begun_;  // Is there once the first event is in hand.
  std::chrono::microseconds pause_;
};

constexpr std::uint32_t kForEver = ~std::uint32_t{0};  // As far as these tests go.
constexpr int kInterrupted = 128 + SIGINT;

class Park : public WithProcesses {
 protected:
  Park() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-park-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~Park() override { clear_away(directory_); }

  fs::path segment() const { return directory_ / "segment"; }
  fs::path file() const { return directory_ / "numbers"; }
  bool kept() const { return fs::exists(segment()); }

  Settings anonymous() const {
    Settings settings = test_settings();
    settings.set("state.bytes", "64KiB");
    settings.set("undo.bytes", "64KiB");
    settings.set("lane.slots", "256");
    settings.set("report.path", (directory_ / "reports").string());
    return settings;
  }
  Settings settings() const {
    Settings settings = anonymous();
    settings.set("segment.path", segment().string());
    return settings;
  }

  // Numbers from 0 to `count` into the file, and a last word.
  Pipeline numbers_to_file(std::uint32_t count, std::uint32_t pause_us = 0) const {
    Pipeline pipeline{name_};
    pipeline.source<Numbers>("numbers", count).to<Echo>("echo").to<Lines>("lines", file(), pause_us);
    return pipeline;
  }

  std::size_t written() const {
    std::error_code none;
    const std::uintmax_t bytes = fs::file_size(file(), none);
    return none ? 0 : static_cast<std::size_t>(bytes);
  }
  bool has_ended() const {
    std::ifstream in{file()};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    return text.ends_with("end\n");
  }
  // Every number from 0 on, each once and in order; how many. `ended`: and the last word behind them.
  std::uint32_t expect_numbers(bool ended) const {
    std::ifstream in{file()};
    std::uint32_t count = 0;
    std::string line;
    while (std::getline(in, line) && line != "end") {
      // A worker that was killed while it wrote, and no later life has cut that off yet.
      if (!ended && in.eof()) return count;
      if (line != std::to_string(count)) {
        ADD_FAILURE() << "'" << line << "' where " << count << " follows";
        return count;
      }
      ++count;
    }
    EXPECT_EQ(line == "end", ended) << "its last word";
    EXPECT_FALSE(std::getline(in, line)) << "something follows the last word";
    return count;
  }

  // A program around the pipeline, in a process of its own; what it says is in said().
  pid_t start_program(const Pipeline& pipeline, const Settings& settings,
                      const std::function<void()>& before = {}) const {
    std::fflush(nullptr);
    fs::remove(directory_ / "said");
    const pid_t program = ::fork();
    if (program != 0) return program;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // They may be ignored, by a shell that runs tests in the background.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
      std::signal(signal, SIG_DFL);
    if (before) before();
    std::freopen((directory_ / "said").c_str(), "w", stderr);
    std::setvbuf(stderr, nullptr, _IONBF, 0);
    int status = kExitUsage;
    {
      Engine engine{pipeline, settings};
      StandardOptions options;
      options.quiet = true;
      status = sluice::run(engine, options, settings);
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  static int status_of(pid_t program) {
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
    if (!ended) ::kill(program, SIGKILL);
    EXPECT_TRUE(ended) << "it did not end";
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string said() const {
    std::ifstream in{directory_ / "said"};
    return std::string{std::istreambuf_iterator<char>{in}, {}};
  }
  // Sends the signals, each once the program has written something since the one before.
  int status_after(const Pipeline& pipeline, const Settings& settings,
                   const std::vector<int>& signals) const {
    const pid_t program = start_program(pipeline, settings);
    for (const int signal : signals) {
      const std::size_t before = written();
      EXPECT_TRUE(eventually([&] { return written() > before + 100; }));
      ::kill(program, signal);
    }
    return status_of(program);
  }

  const std::string name_ = "park-" + std::to_string(::getpid());
  fs::path directory_;
};

TEST_F(Park, KeepsEverythingAndTheNextStartGoesOnExactlyThere) {
  constexpr int kParks = 3;
  for (int parks = 0; parks < kParks; ++parks) {
    Engine engine{numbers_to_file(kForEver), settings()};
    engine.start();
    EXPECT_EQ(engine.resumed(), parks != 0);
    const std::size_t before = written();
    EXPECT_TRUE(eventually([&] { return written() > before + 50'000; }));
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
    EXPECT_TRUE(kept());
    expect_numbers(false);
  }
  const std::uint32_t count = expect_numbers(false) + 100'000;
  Engine engine{numbers_to_file(count), settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.end(), End::finished);
  EXPECT_EQ(expect_numbers(true), count);
  EXPECT_FALSE(kept()) << "it has come to its own end";
}

TEST_F(Park, WaitsForNoRoomAndForNoPull) {
  Settings tiny = settings();
  tiny.set("lane.slots", "2");
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<Multiply>("multiply", 100U).to<Echo>("echo").outlet("out");
  constexpr std::uint32_t kEvents = 100;  // More than the lanes hold of what they become.
  std::uint32_t pulled = 0;
  const auto take = [&](const Item& item) { EXPECT_EQ(item.number, pulled++); };
  {
    Engine engine{pipeline, tiny};
    engine.start();
    auto in = engine.inlet<Item>("in");
    auto out = engine.outlet<Item>("out");
    for (std::uint32_t i = 0; i < kEvents; ++i)
      EXPECT_EQ(in.push({0, i}), PushResult::accepted);
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "multiply/0").full_waits > 0; }));
    EXPECT_TRUE(eventually([&] { return out.poll(take, 7) != 0; }));
    out.ack();
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
    EXPECT_EQ(in.push({0, kEvents}), PushResult::ended);
    EXPECT_GT(engine.left_behind().events, 0U);
  }
  Engine engine{pipeline, tiny};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  auto in = engine.inlet<Item>("in");
  EXPECT_FALSE(in.closed()) << "nothing was drained";
  EXPECT_EQ(in.position(), kEvents);
  auto out = engine.outlet<Item>("out");
  in.close();
  EXPECT_TRUE(eventually([&] {
    out.poll(take);
    return out.ended();
  }));
  EXPECT_EQ(pulled, 100 * kEvents);
  engine.wait();
}

TEST_F(Park, WithoutANamedSegmentIsADrain) {
  Engine engine{numbers_to_file(kForEver), anonymous()};
  engine.start();
  EXPECT_TRUE(eventually([&] { return written() > 10'000; }));
  engine.park();
  EXPECT_EQ(engine.end(), End::drained);
  EXPECT_EQ(expect_numbers(true), worker_of(engine, "lines/0").events_in);
}

TEST_F(Park, ByAnOperatorIsNoSuccessToAHostThatHasNotAskedForIt) {
  Engine engine{numbers_to_file(kForEver), settings()};
  engine.start();
  EXPECT_TRUE(eventually([&] { return written() > 10'000; }));
  std::thread operator_{[&] { ask_to_park(name_); }};
  EXPECT_THAT([&] { engine.wait(); },
              testing::ThrowsMessage<Error>(HasSubstr("it was parked, and not by this program")));
  operator_.join();
  EXPECT_EQ(engine.end(), End::parked);
  expect_numbers(false);
}

TEST_F(Park, ByAnOperatorIsGoodEnoughForAProgram) {
  const pid_t program = start_program(numbers_to_file(kForEver), settings());
  EXPECT_TRUE(eventually([&] { return written() > 10'000; }));
  {
    const Observer observer = Observer::attach(name_);
    ask_to_park(name_);
    EXPECT_TRUE(eventually([&] { return observer.over(); }));
    EXPECT_EQ(observer.end(), End::parked);
  }
  EXPECT_EQ(status_of(program), kExitOk);
  EXPECT_THAT(said(), HasSubstr("parked: the next start goes on with " + segment().string()));
  const pid_t next = start_program(numbers_to_file(kForEver), settings());
  const std::size_t before = written();
  EXPECT_TRUE(eventually([&] { return written() > before + 10'000; }));
  ask_to_drain(name_);
  EXPECT_EQ(status_of(next), kInterrupted) << "its source had more";
  expect_numbers(true);
  EXPECT_FALSE(kept());
}

TEST_F(Park, IsWhatATerminationAndAHangUpAskForAndAnInterruptDrains) {
  for (const int signal : {SIGTERM, SIGHUP, SIGTERM}) {
    EXPECT_EQ(status_after(numbers_to_file(kForEver), settings(), {signal}), kExitOk);
    EXPECT_THAT(said(), AllOf(HasSubstr("parking"), HasSubstr("parked: the next start goes on")));
    EXPECT_TRUE(kept());
    expect_numbers(false);
  }
  EXPECT_EQ(status_after(numbers_to_file(kForEver), settings(), {SIGINT}), kInterrupted);
  EXPECT_THAT(said(), ::testing::AllOf(HasSubstr("draining"), HasSubstr("its sources had not read is left")));
  EXPECT_FALSE(kept());
  EXPECT_GT(expect_numbers(true), 100U);
}

TEST_F(Park, LeavesASignalAloneThatWasIgnored) {
  const pid_t program =
      start_program(numbers_to_file(kForEver), settings(), [] { std::signal(SIGHUP, SIG_IGN); });
  EXPECT_TRUE(eventually([&] { return written() > 1000; }));
  ::kill(program, SIGHUP);
  const std::size_t before = written();
  EXPECT_TRUE(eventually([&] { return written() > before + 10'000; })) << "as under nohup";
  ::kill(program, SIGTERM);
  EXPECT_EQ(status_of(program), kExitOk);
}

TEST_F(Park, ThatIsStoppedByASecondSignalKeepsEverythingToo) {
  // The first event takes longer than this test may, so that the second signal comes in the midst of the park.
  Settings one_by_one = settings();
  one_by_one.set("batch.events", "1");
  const pid_t program = start_program(numbers_to_file(kForEver, 60'000'000), one_by_one);
  EXPECT_TRUE(eventually([&] { return fs::exists(directory_ / "numbers.begun"); }));
  ::kill(program, SIGTERM);
  EXPECT_TRUE(eventually([&] { return said().find("parking") != std::string::npos; }));
  ::kill(program, SIGINT);
  EXPECT_EQ(status_of(program), kExitFailed);
  EXPECT_THAT(said(), HasSubstr("stopped: the next start goes on with " + segment().string()));
  expect_numbers(false);
  // No drain was asked for: the next one goes on with its source.
  EXPECT_EQ(status_after(numbers_to_file(kForEver), settings(), {SIGTERM}), kExitOk);
  EXPECT_TRUE(kept());
  EXPECT_EQ(status_after(numbers_to_file(kForEver), settings(), {SIGINT}), kInterrupted);
  expect_numbers(true);
  EXPECT_FALSE(kept());
}

TEST_F(Park, OfADrainKeepsTheDrainWhicheverWayItWasLeft) {
  for (const int second : {SIGINT, SIGTERM, SIGKILL}) {
    SCOPED_TRACE("second signal " + std::to_string(second));
    fs::remove(file());
    // Some hundred events wait in the lanes: the drain takes a while.
    const pid_t program = start_program(numbers_to_file(kForEver, 5000), settings());
    EXPECT_TRUE(eventually([&] { return written() > 100; }));
    ::kill(program, SIGINT);
    EXPECT_TRUE(eventually([&] { return said().find("draining") != std::string::npos; }));
    // Another one of the same kind is taken for one only where it comes at once.
    const auto asked = std::chrono::steady_clock::now();
    EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() - asked > 60ms; }));
    ::kill(program, second);
    status_of(program);
    EXPECT_TRUE(eventually([&] { return processes_of(name_).empty(); }));
    ASSERT_TRUE(kept()) << said();
    const std::uint32_t before = expect_numbers(false);
    EXPECT_EQ(status_of(start_program(numbers_to_file(kForEver), settings())), kInterrupted)
        << "it goes on with the drain, and ends by itself";
    const std::uint32_t after = expect_numbers(true);
    EXPECT_GT(after, before);
    EXPECT_LT(after, before + 2000) << "the lanes' worth";
    EXPECT_FALSE(kept());
  }
}

TEST_F(Park, AStopSaysWhatItGivesUp) {
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  pipeline.inlet<Bytes>("bytes").to<EchoBytes>("echo-bytes").outlet("bytes-out");
  Engine engine{pipeline, anonymous()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto bytes = engine.inlet<Bytes>("bytes");
  for (std::uint32_t i = 0; i < 10; ++i)
    EXPECT_EQ(in.push({0, i}), PushResult::accepted);
  EXPECT_EQ(bytes.push(Bytes{"four"}), PushResult::accepted);
  EXPECT_EQ(bytes.push(Bytes{"and six"}), PushResult::accepted);
  EXPECT_TRUE(eventually([&] {
    return worker_of(engine, "echo/0").events_out == 10 && worker_of(engine, "echo-bytes/0").events_out == 2;
  }));
  const LeftBehind left = engine.stop();
  EXPECT_EQ(left.events, 12U);
  EXPECT_EQ(left.bytes, 10 * sizeof(Item) + 4 + 7);
  EXPECT_EQ(engine.end(), End::stopped);
  engine.wait();  // It is this program that has asked for it.
}

// Park again and again, with a kill of a random process at a random instant in the midst of each: first of a pipeline
// that would never end, then of one that comes to its end at times.
TEST_F(Park, IsRightWhateverIsKilledInItsMidst) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  constexpr int kEndlessRounds = 12;
  constexpr int kMostRounds = 200;
  std::uint32_t count = kForEver;
  int rounds = 0;
  for (; rounds < kMostRounds && !HasFailure(); ++rounds) {
    if (rounds == kEndlessRounds) count = expect_numbers(false) + 300'000;
    const pid_t program = start_program(numbers_to_file(count), settings());
    const std::size_t before = written();
    int status = 0;
    bool gone = false;
    EXPECT_TRUE(eventually([&] {
      gone = ::waitpid(program, &status, WNOHANG) == program;
      return gone || written() > before + 10'000;
    }));
    if (gone) {
      EXPECT_EQ(status, 0);
      break;
    }
    std::vector<pid_t> all = processes_of(name_);
    all.push_back(program);
    const bool kills_before = random() % 2 == 0;
    const pid_t victim = all[random() % all.size()];
    if (!kills_before) ::kill(program, SIGTERM);
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    ::kill(victim, SIGKILL);
    if (kills_before) ::kill(program, SIGTERM);
    EXPECT_TRUE(eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; }));
    if (victim != program) {
      EXPECT_EQ(status, 0) << "a kill of any other process is no failure\n" << said();
    }
    EXPECT_TRUE(eventually([&] { return processes_of(name_).empty(); }));
    if (!kept()) break;
    // A host that dies after the last word has been said leaves its file to the next one.
    if (!has_ended()) expect_numbers(false);
  }
  EXPECT_GE(rounds, kEndlessRounds) << said();
  EXPECT_LT(rounds, kMostRounds);
  EXPECT_EQ(expect_numbers(true), count);
  EXPECT_FALSE(kept());
}

}  // namespace
}  // namespace sluice::test
